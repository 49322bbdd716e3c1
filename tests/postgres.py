"""The PostgreSQL server of a test run, and databases on it."""

import asyncio
import tempfile
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.pool import connect

T = TypeVar("T")

# Tests that crash the server start one of their own, with fsync.
FAST_SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
}


class Server:
    """A running server. `dsn` is the URI of one of its databases, `template` the name of a migrated one."""

    def __init__(self, dsn: str, template: str) -> None:
        self.template = template
        self._dsn = dsn

    def dsn(self, database: str) -> str:
        """The URI of another database."""
        return urlsplit(self._dsn)._replace(path=f"/{database}").geturl()

    @contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """The URI of a new database, migrated unless another `template` is named; dropped at the end."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or self.template}")
        try:
            yield self.dsn(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def cut_off(self, database: str) -> None:
        """Break every connection to a database and refuse new ones."""
        self.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database)

    def let_in(self, database: str) -> None:
        """Accept connections to a database again."""
        self.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")

    def execute(self, statement: str, *arguments: object) -> None:
        """Run one statement as the login that the server was named with."""
        run(_execute(self._dsn, statement, *arguments))


@contextmanager
def embedded_server() -> Iterator[Server]:
    """A new server with a migrated template, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="loyalty-tests-") as directory:
        Path(directory).chmod(0o711)  # root may have to run the server as another user
        with (
            EmbeddedPostgres(Path(directory) / "postgres", settings=FAST_SETTINGS) as postgres,
            prepared_server(postgres.dsn()) as server,
        ):
            yield server


@contextmanager
def prepared_server(dsn: str) -> Iterator[Server]:
    """The running server of `dsn`, with a migrated template for as long as the block lasts."""
    template = f"template_{uuid.uuid4().hex}"
    server = Server(dsn, template)
    server.execute(f"CREATE DATABASE {template} TEMPLATE template0")
    try:
        run(migrate(server.dsn(template)))
        yield server
    finally:
        server.execute(f"DROP DATABASE {template} WITH (FORCE)")


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end without touching the event loop that the tests run on."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(coroutine)


async def _execute(dsn: str, statement: str, *arguments: object) -> None:
    connection = await connect(dsn)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()
