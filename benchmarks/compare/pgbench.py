"""`pgbench -N`, which comes with PostgreSQL: an UPDATE, a SELECT and an INSERT a transaction."""

import asyncio
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.compare.client import Answers, BenchmarkError
from storage.embedded.launch import wheel_binaries
from storage.owner import owner_connection

_DATABASE: Final = "pgbench"
_SCALE: Final = 10  # a million accounts
# A divisor of how many operations a run may have.
_CONNECTIONS: Final = 20
_RATE: Final = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)$", re.MULTILINE)


def find_pgbench() -> str | None:
    """The program beside the embedded PostgreSQL, or else on PATH."""
    beside = wheel_binaries() / "pgbench"
    return str(beside) if beside.exists() else shutil.which("pgbench")


async def make_pgbench_database(program: str, dsn: str) -> str:
    """A database of its own on the server of `dsn`; returns its dsn. Raises BenchmarkError."""
    async with owner_connection(dsn) as connection:
        await connection.execute(f"CREATE DATABASE {_DATABASE}")
    own_dsn = urlsplit(dsn)._replace(path=f"/{_DATABASE}").geturl()
    await _run(program, "--initialize", "--quiet", f"--scale={_SCALE}", own_dsn)
    return own_dsn


@dataclass(frozen=True)
class PgbenchLoad:
    """Transactions of `pgbench -N` on a database that it has made."""

    program: str
    dsn: str

    @asynccontextmanager
    async def open(self) -> AsyncIterator["PgbenchSession"]:
        """As `Load.open`."""
        yield PgbenchSession(self)


class PgbenchSession:
    """As `Session`; every run is a process, whose connecting does not count."""

    def __init__(self, load: PgbenchLoad) -> None:
        self._load = load
        self._operations = 0

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        self._operations = operations

    async def run(self) -> Answers:
        """As `Session.run`."""
        each = self._operations // _CONNECTIONS
        options = ("--no-vacuum", "--skip-some-updates", "--protocol=prepared")
        output = await _run(
            self._load.program, *options, f"--client={_CONNECTIONS}", f"--transactions={each}", self._load.dsn
        )
        rate = _RATE.search(output)
        assert rate, output
        return Answers(Counter(), seconds=each * _CONNECTIONS / float(rate[1]))


async def _run(program: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        last_line = errors.decode().strip().rpartition("\n")[2]
        raise BenchmarkError(f"{Path(program).name} has failed: {last_line}")
    return output.decode()
