"""The service that the receipts go through: one of its own, or one that runs already."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from benchmarks.replay.program import WINDOW_BACK_DAYS
from benchmarks.replay.tills import ReplayError
from processor.cli.child import service
from processor.config import ENVIRONMENT_PREFIX, load_settings
from processor.domain.api_key import parse_api_key
from processor.program_file import parse_program
from storage.directory import create_chain, create_key, list_chains, list_keys
from storage.embedded import EmbeddedPostgres
from storage.members import Member, add_members
from storage.migrate import migrate
from storage.owner import owner_connection

PROGRAM_FILE: Final = Path(__file__).with_name("program.yaml")


class Endpoint(NamedTuple):
    """Where the service is; without a `dsn` its members cannot be enrolled nor its ledger verified."""

    target: str
    api_key: str
    dsn: str | None


@contextmanager
def own_service(workers: int) -> Iterator[Endpoint]:
    """A service with a chain for the replay, on a PostgreSQL in a directory that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="loyalty-replay-") as directory:
        Path(directory).chmod(0o711)  # root may have to run PostgreSQL as another user
        with EmbeddedPostgres(Path(directory) / "postgres") as postgres:
            dsn = postgres.dsn()
            api_key = asyncio.run(_prepare(dsn))
            port, http_port = _free_ports(2)
            settings = load_settings(
                dsn=dsn, workers=workers, port=port, http_port=http_port, drain_seconds=0, log_level="warning"
            )
            with service(settings):
                yield Endpoint(f"127.0.0.1:{port}", api_key, dsn)


async def _prepare(dsn: str) -> str:
    program = parse_program(PROGRAM_FILE.read_text())
    await migrate(dsn)
    async with owner_connection(dsn) as connection:
        chain_id = await create_chain(
            connection, "replay", window_back_seconds=WINDOW_BACK_DAYS * 86_400, document=program.document
        )
        return await create_key(connection, chain_id)


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def enrol(dsn: str, api_key: str, member_ids: Iterable[int]) -> None:
    """See that the key's chain has these members. Raises ReplayError if the key is not of that database."""
    async with owner_connection(dsn) as connection:
        chain_id = await _chain_of_key(connection, api_key)
        await add_members(connection, chain_id, [Member(member_id) for member_id in member_ids])


async def _chain_of_key(connection: asyncpg.Connection, api_key: str) -> int:
    key_id, _ = parse_api_key(api_key) or ("", "")
    for chain in await list_chains(connection):
        if key_id in {key.key_id for key in await list_keys(connection, chain.chain_id)}:
            return chain.chain_id
    raise ReplayError("the API key is not one of the database that --dsn names: give those of one service")


def verify(dsn: str) -> bool:
    """Whether `loyalty-processor verify` finds every balance, sequence and hash as the ledger says."""
    command = [sys.executable, "-m", "processor", "verify"]
    environment = {**os.environ, f"{ENVIRONMENT_PREFIX}DSN": dsn}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
    return done.returncode == 0
