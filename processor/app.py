"""The life of a worker: put the parts together, serve until told to stop, drain."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, NoReturn

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
from storage.ledger import PostgresLedger
from storage.opened import OpenStorage, open_storage
from storage.probe import Probe
from storage.reads import PostgresReader

# For reads, the directory and the partitions, so that none of them waits for the lanes.
_CONNECTIONS_BESIDE_LANES: Final = 4
_RETRY_SECONDS: Final = 1.0
_PROBE_INTERVAL_SECONDS: Final = 1.0
_PROBE_TIMEOUT_SECONDS: Final = 3.0

Report = Callable[[State], None]

log = structlog.get_logger()


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
    try:
        return await _serve(settings, storage, report, stop)
    finally:
        await storage.close()


async def _serve(settings: Settings, storage: OpenStorage, report: Report, stop: asyncio.Event) -> int:
    async with _serving(settings, storage, report) as parts:
        is_sound = await _until_told_or_broken(stop, parts.tasks)
        parts.health.cancel()
        report("draining")
        is_drained = await _drain(settings, parts)
    return 0 if is_sound and is_drained else 1


# --- starting ---------------------------------------------------------------------------------------


async def _storage_when_there(settings: Settings, report: Report, stop: asyncio.Event) -> OpenStorage | None:
    """Open storage, however long PostgreSQL is away; None if told to stop meanwhile."""
    reason = ""
    while not stop.is_set():
        try:
            return await open_storage(
                settings.dsn.get_secret_value(),
                connections=settings.lanes + _CONNECTIONS_BESIDE_LANES,
                statement_timeout_seconds=settings.statement_timeout_seconds,
            )
        except StorageFailure as failure:
            report("not_serving")
            if str(failure) != reason:
                reason = str(failure)
                log.warning("waiting for PostgreSQL", reason=reason)
        await _pause(stop, _RETRY_SECONDS)
    return None


@asynccontextmanager
async def _serving(settings: Settings, storage: OpenStorage, report: Report) -> AsyncIterator[Parts]:
    batcher = _make_batcher(settings, storage)
    batcher.start()
    server = await _start_server(settings, storage, batcher)
    probe = Probe(settings.dsn.get_secret_value())
    health = asyncio.create_task(_watch_health(probe, storage, server, report), name="health")
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


def _make_batcher(settings: Settings, storage: OpenStorage) -> Batcher:
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


async def _start_server(settings: Settings, storage: OpenStorage, batcher: Batcher) -> RpcServer:
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


async def _watch_health(probe: Probe, storage: OpenStorage, server: RpcServer, report: Report) -> NoReturn:
    """Tell balancers and the supervisor, for ever, whether PostgreSQL can be written to."""
    is_serving = False
    while True:
        reason = await _why_unavailable(probe)
        if is_serving and reason:
            log.warning("PostgreSQL is not available", reason=reason)
        if reason:
            await storage.renew()
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


async def _measure(storage: OpenStorage) -> NoReturn:
    """Keep the metrics that have no event of their own."""
    used, idle = POOL_CONNECTIONS.labels("used"), POOL_CONNECTIONS.labels("idle")
    while True:
        connections = storage.count_connections()
        used.set(connections.used)
        idle.set(connections.idle)
        PARTITION_RUNWAY_SECONDS.set(storage.partitions.runway_seconds())
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)


async def _until_told_or_broken(stop: asyncio.Event, tasks: Sequence[asyncio.Task[object]]) -> bool:
    """Wait; False if one of the tasks ended, which none may."""
    told = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({told, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    for task in done - {told}:
        error = None if task.cancelled() else task.exception()
        log.error("a task ended, and so does this worker", task=task.get_name(), exc_info=error)
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


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
