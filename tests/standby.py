"""A primary and its streaming standby, both real, which a test may kill, freeze, fence and promote."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil

from storage.embedded import EmbeddedPostgres
from storage.embedded.launch import find_launcher, give_tree
from storage.migrate import migrate
from tests.postgres import run
from tests.server import eventually

# Processes are killed here, not the machine: what was written is there, synced or not.
_SETTINGS: Final = {"fsync": "off", "shared_buffers": "64MB"}


class Pair(NamedTuple):
    """The primary has a migrated database `postgres` and commits only what the standby has on disk."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres

    def dsn(self, *, standby_first: bool = False) -> str:
        """One URI that names both hosts."""
        servers = reversed(self) if standby_first else self
        password = urlsplit(self.primary.dsn()).password
        return f"postgresql://postgres:{password}@{','.join(map(address, servers))}/postgres"

    def promote(self) -> None:
        """Make the standby a primary."""
        directory = self.standby.data_dir
        log = directory / "promotion.log"
        launcher = find_launcher(directory)
        assert launcher.run("pg_ctl", "promote", f"--pgdata={directory / 'pgdata'}", log=log) == 0


@contextmanager
def replicated() -> Iterator[Pair]:
    """A new pair with synchronous replication."""
    with tempfile.TemporaryDirectory(prefix="loyalty-standby-") as directory:
        Path(directory).chmod(0o711)  # root may have to run the servers as another user
        with (
            EmbeddedPostgres(Path(directory) / "primary", settings=_SETTINGS) as primary,
            EmbeddedPostgres(_copy(primary, Path(directory) / "standby"), settings=_SETTINGS) as standby,
        ):
            run(migrate(primary.dsn()))
            # Not before the copy: a promoted standby must not wait for one of its own.
            query(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
            query(primary, "SELECT pg_reload_conf()")
            eventually(lambda: query(primary, "SELECT sync_state FROM pg_stat_replication") == "sync")
            yield Pair(primary, standby)


def _copy(primary: EmbeddedPostgres, directory: Path) -> Path:
    """A directory from which a standby of `primary` starts."""
    pgdata, log = directory / "pgdata", directory / "backup.log"
    directory.mkdir()
    directory.chmod(0o711)
    pgdata.mkdir(mode=0o700)
    launcher = find_launcher(directory)
    give_tree(pgdata, launcher.owner)
    options = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync", f"--dbname={primary.dsn()}")
    assert launcher.run("pg_basebackup", f"--pgdata={pgdata}", *options, log=log) == 0, log.read_text()
    shutil.copy2(primary.data_dir / "password", directory)
    return directory


def address(server: EmbeddedPostgres) -> str:
    """HOST:PORT over TCP."""
    [port] = parse_qs(urlsplit(server.dsn()).query)["port"]
    return f"127.0.0.1:{port}"


def query(server: EmbeddedPostgres, statement: str) -> Any:
    """The first value that a statement returns, from this very server, be it a standby."""

    async def ask() -> Any:
        connection = await asyncpg.connect(server.dsn())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return run(ask())


def kill(server: EmbeddedPostgres) -> None:
    """The machine loses its power, but its kernel says so: connections are reset and refused."""
    server.kill()


def freeze(server: EmbeddedPostgres) -> None:
    """Nothing answers any more, and nothing is closed: as if the network had swallowed the machine."""
    postmaster = psutil.Process(server.pid)
    for process in [postmaster, *postmaster.children(recursive=True)]:
        process.send_signal(signal.SIGSTOP)


def fence(server: EmbeddedPostgres) -> None:
    """It stays up for whoever is connected, and takes no more writes."""
    query(server, "ALTER SYSTEM SET default_transaction_read_only = on")
    query(server, "SELECT pg_reload_conf()")
