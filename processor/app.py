"""The life of a worker: put the parts together, serve until told to stop, drain."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, NoReturn

import asyncpg
import structlog

from processor.batcher import Batcher
from processor.config import Settings
from processor.domain.failures import StorageFailure, StorageUnavailable
from processor.ledger import Ledger
from processor.metrics import (
    COMMIT_SECONDS,
    PARTITION_RUNWAY_SECONDS,
    POOL_CONNECTIONS,
    BatcherMetrics,
    LedgerMetrics,
)
from processor.rpc.encoder import ProtobufEncoder
from processor.rpc.server import RpcServer, Tls, start_server
from processor.supervisor_link import State
from storage.directory import PostgresDirectory
from storage.ledger import PostgresLedger
from storage.partitions import Partitions
from storage.pool import open_pool
from storage.probe import Probe
from storage.reads import PostgresReader

# For reads, the directory and the partitions, so that none of them waits for the lanes.
_CONNECTIONS_BESIDE_LANES: Final = 4
_RETRY_SECONDS: Final = 1.0
_PROBE_INTERVAL_SECONDS: Final = 1.0
_PROBE_TIMEOUT_SECONDS: Final = 3.0
_CLOSE_SECONDS: Final = 2.0

Report = Callable[[State], None]

log = structlog.get_logger()


class Storage(NamedTuple):
    """What is read from PostgreSQL before the first call can be served."""

    pool: asyncpg.Pool
    directory: PostgresDirectory
    partitions: Partitions


class Parts(NamedTuple):
    """A worker that serves, and the tasks without which it can't."""

    batcher: Batcher
    server: RpcServer
    health: asyncio.Task[object]
    tasks: Sequence[asyncio.Task[object]]


async def run(settings: Settings, report: Report) -> int:
    """Serve until SIGTERM; the exit status, which is not 0 if a part broke."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    storage = await _storage_when_there(settings, report, stop)
    if storage is None:
        return 0
    async with _closing(storage.pool), _serving(settings, storage, report) as parts:
        is_sound = await _until_told_or_broken(stop, parts.tasks)
        parts.health.cancel()
        report("draining")
        is_drained = await _drain(settings, parts)
    return 0 if is_sound and is_drained else 1


# --- starting ---------------------------------------------------------------------------------------


async def _storage_when_there(settings: Settings, report: Report, stop: asyncio.Event) -> Storage | None:
    """Open storage, however long PostgreSQL is away; None if told to stop meanwhile."""
    reason = ""
    while not stop.is_set():
        try:
            return await _open_storage(settings)
        except StorageFailure as failure:
            report("not_serving")
            if str(failure) != reason:
                reason = str(failure)
                log.warning("waiting for PostgreSQL", reason=reason)
        await _pause(stop, _RETRY_SECONDS)
    return None


async def _open_storage(settings: Settings) -> Storage:
    pool = await open_pool(
        settings.dsn.get_secret_value(),
        connections=settings.lanes + _CONNECTIONS_BESIDE_LANES,
        statement_timeout_seconds=settings.statement_timeout_seconds,
    )
    storage = Storage(pool, PostgresDirectory(pool), Partitions(pool))
    try:
        await storage.directory.refresh()
        await storage.partitions.load()
    except BaseException:
        pool.terminate()
        raise
    return storage


@asynccontextmanager
async def _serving(settings: Settings, storage: Storage, report: Report) -> AsyncIterator[Parts]:
    batcher = _make_batcher(settings, storage)
    batcher.start()
    server = await _start_server(settings, storage, batcher)
    probe = Probe(settings.dsn.get_secret_value())
    health = asyncio.create_task(_watch_health(probe, server, report), name="health")
    directory_watch = storage.directory.watch(settings.directory_refresh_seconds)
    keep_ahead = storage.partitions.keep_ahead(settings.partitions_ahead, settings.partition_check_seconds)
    tasks = [
        *batcher.tasks,
        asyncio.create_task(directory_watch, name="directory"),
        asyncio.create_task(keep_ahead, name="partitions"),
        health,
        asyncio.create_task(_measure(storage), name="measures"),
    ]
    try:
        yield Parts(batcher, server, health, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        probe.close()


def _make_batcher(settings: Settings, storage: Storage) -> Batcher:
    ledger = Ledger(
        PostgresLedger(storage.pool, storage.partitions, COMMIT_SECONDS.observe),
        storage.directory,
        ProtobufEncoder(),
        LedgerMetrics(),
        retry_seconds=settings.retry_seconds,
    )
    return Batcher(
        ledger,
        BatcherMetrics(),
        lanes=settings.lanes,
        batch_ops_max=settings.batch_ops_max,
        queue_ops_max=settings.queue_ops_max,
    )


async def _start_server(settings: Settings, storage: Storage, batcher: Batcher) -> RpcServer:
    return await start_server(
        host=settings.host,
        port=settings.port,
        batcher=batcher,
        reader=PostgresReader(storage.pool),
        directory=storage.directory,
        message_bytes_max=settings.message_bytes_max,
        connection_age_seconds_max=settings.connection_age_seconds_max,
        connection_age_grace_seconds=settings.connection_age_grace_seconds,
        tls=_tls(settings),
    )


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    client_ca = settings.tls_client_ca_file
    return Tls(
        settings.tls_cert_file.read_bytes(),
        settings.tls_key_file.read_bytes(),
        client_ca.read_bytes() if client_ca else None,
    )


# --- serving ----------------------------------------------------------------------------------------


async def _watch_health(probe: Probe, server: RpcServer, report: Report) -> NoReturn:
    """Tell balancers and the supervisor, for ever, whether PostgreSQL can be written to."""
    is_serving = False
    while True:
        reason = await _why_unavailable(probe)
        if is_serving and reason:
            log.warning("PostgreSQL is not available", reason=reason)
        is_serving = not reason
        await server.set_serving(is_serving)
        report("serving" if is_serving else "not_serving")
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)


async def _why_unavailable(probe: Probe) -> str:
    try:
        await probe.check(_PROBE_TIMEOUT_SECONDS)
    except StorageUnavailable as failure:
        return str(failure)
    return ""


async def _measure(storage: Storage) -> NoReturn:
    """Keep the metrics that have no event of their own."""
    used, idle = POOL_CONNECTIONS.labels("used"), POOL_CONNECTIONS.labels("idle")
    while True:
        idle_size = storage.pool.get_idle_size()
        idle.set(idle_size)
        used.set(storage.pool.get_size() - idle_size)
        PARTITION_RUNWAY_SECONDS.set(storage.partitions.runway_seconds())
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)


async def _until_told_or_broken(stop: asyncio.Event, tasks: Sequence[asyncio.Task[object]]) -> bool:
    """Wait; False if one of the tasks ended, which none may."""
    told = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({told, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    for task in done - {told}:
        log.error("a task ended, and so does this worker", task=task.get_name(), exc_info=task.exception())
    return not done - {told}


# --- stopping ---------------------------------------------------------------------------------------


async def _drain(settings: Settings, parts: Parts) -> bool:
    """Let balancers notice, then finish what has been taken on; False if that takes too long."""
    await parts.server.set_serving(False)
    await asyncio.sleep(settings.drain_seconds)
    remaining_seconds = settings.stop_seconds - settings.drain_seconds
    try:
        async with asyncio.timeout(remaining_seconds):
            # Streams may stay open for ever, so half of the time must be left for what is queued.
            await parts.server.stop(remaining_seconds / 2)
            await parts.batcher.drain()
    except TimeoutError:
        log.error("not drained in time", stop_seconds=settings.stop_seconds)  # noqa: TRY400 (no traceback helps)
        return False
    return True


@asynccontextmanager
async def _closing(pool: asyncpg.Pool) -> AsyncIterator[None]:
    try:
        yield
    finally:
        try:
            await asyncio.wait_for(pool.close(), _CLOSE_SECONDS)
        except TimeoutError:
            pool.terminate()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
