"""A service of one's own for a run, on a PostgreSQL in a directory that is removed at the end."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from processor.cli.child import service
from processor.config import ENVIRONMENT_PREFIX, Settings, load_settings
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from storage.directory import WINDOW_BACK_SECONDS, create_chain, create_key
from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.owner import owner_connection

_LOOPBACK: Final = "127.0.0.1"
_DAY_SECONDS: Final = 86_400
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Service(NamedTuple):
    """A running service with one chain; the process ids are those of the supervisor and the postmaster."""

    target: str
    metrics_url: str
    chain_id: int
    api_key: str
    dsn: str
    server_pid: int
    postgres_pid: int


@contextmanager
def own_service(
    chain_name: str,
    *,
    document: ProgramDocument = DEFAULT_PROGRAM,
    window_back_seconds: int = WINDOW_BACK_SECONDS,
    workers: int = 1,
) -> Iterator[Service]:
    """Serve a new, empty chain with this program for as long as the block lasts.

    Raises EmbeddedPostgresError, StorageFailure, DirectoryError or CommandError.
    """
    with own_postgres(chain_name) as postgres:
        dsn = postgres.dsn()
        asyncio.run(migrate(dsn))
        chain_id, api_key = asyncio.run(add_chain(dsn, chain_name, document, window_back_seconds))
        with service_of(postgres, dsn, chain_id, api_key, workers) as own:
            yield own


@contextmanager
def own_postgres(
    name: str, parent: Path | None = None, settings: Mapping[str, str] = _NOTHING
) -> Iterator[EmbeddedPostgres]:
    """Run a PostgreSQL in a directory of its own, in `parent` or among the temporary ones."""
    with tempfile.TemporaryDirectory(prefix=f"loyalty-{name}-", dir=parent) as directory:
        Path(directory).chmod(0o711)  # root may have to run PostgreSQL as another user
        with EmbeddedPostgres(Path(directory) / "postgres", settings=settings) as postgres:
            yield postgres


@contextmanager
def service_of(
    postgres: EmbeddedPostgres, dsn: str, chain_id: int, api_key: str, workers: int
) -> Iterator[Service]:
    """Serve a migrated database with a chain."""
    settings = _settings(dsn, workers)
    with service(settings) as process:
        urls = _target(settings), _metrics_url(settings)
        yield Service(*urls, chain_id, api_key, dsn, process.pid, postgres.pid)


@contextmanager
def second_service(
    first: Service, environment: Mapping[str, str] = _NOTHING, /, *, workers: int, **settings: object
) -> Iterator[Service]:
    """Another one for the same chain, with other settings; `environment` has variables beside them.

    It leaves it to the first one to measure the database.
    """
    own = _settings(first.dsn, workers, measure_seconds=_DAY_SECONDS, **settings)
    with service(own, environment) as process:
        yield first._replace(target=_target(own), metrics_url=_metrics_url(own), server_pid=process.pid)


async def add_chain(
    dsn: str,
    name: str,
    document: ProgramDocument = DEFAULT_PROGRAM,
    window_back_seconds: int = WINDOW_BACK_SECONDS,
) -> tuple[int, str]:
    """A new chain: its chain_id and an API key."""
    async with owner_connection(dsn) as connection:
        chain_id = await create_chain(
            connection, name, window_back_seconds=window_back_seconds, document=document
        )
        return chain_id, await create_key(connection, chain_id)


def _target(settings: Settings) -> str:
    return f"{settings.host}:{settings.port}"


def _metrics_url(settings: Settings) -> str:
    return f"http://{settings.http_host}:{settings.http_port}/metrics"


def _settings(dsn: str, workers: int, **others: object) -> Settings:
    port, http_port = _free_ports(2)
    return load_settings(
        dsn=dsn,
        workers=workers,
        host=_LOOPBACK,
        port=port,
        http_host=_LOOPBACK,
        http_port=http_port,
        drain_seconds=0,
        log_level="warning",
        **others,
    )


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((_LOOPBACK, 0)) for _ in range(count)]
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def verify(dsn: str) -> bool:
    """Whether `loyalty-processor verify` finds every balance, sequence and hash as the ledger says."""
    command = [sys.executable, "-m", "processor", "verify"]
    environment = {**os.environ, f"{ENVIRONMENT_PREFIX}DSN": dsn}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
    return done.returncode == 0
