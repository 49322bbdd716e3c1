"""The life of a worker: open storage, serve until told to stop, drain."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import structlog

from processor.app.due_job import see_to_due
from processor.app.measuring import show_database
from processor.app.parts import (
    CONNECTIONS_BESIDE_LANES,
    READ_CONNECTIONS,
    Report,
    Worker,
    make_batcher,
    make_tracing,
    open_journal,
    start_rpc,
)
from processor.app.watches import count_left_behind, show_chains, show_worker, watch_health
from processor.batcher import Batcher
from processor.config import Settings
from processor.domain.failures import StorageFailure
from processor.gauges import observe_loop_lag
from processor.metrics import LedgerMetrics
from processor.rpc.server import RpcServer
from storage.opened import OpenStorage, open_storage
from storage.schema import Schema

_RETRY_SECONDS: Final = 1.0
# The worker that measures the database for all of them.
_MEASURING_WORKER: Final = 0

log = structlog.get_logger()


class Parts(NamedTuple):
    """A worker that serves, and the tasks without which it can't."""

    batcher: Batcher
    server: RpcServer
    health: asyncio.Task[object]
    tasks: Sequence[asyncio.Task[object]]


async def run(settings: Settings, report: Report, index: int) -> int:
    """Serve until SIGTERM; the exit status, which is not 0 if a part broke."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    storage = await _storage_when_there(settings, report, stop)
    if storage is None:
        return 0
    _tell_of_newer_schema(storage.schema)
    tracing = make_tracing(settings, index)
    try:
        return await _serve(Worker(index, settings, report, storage, tracing), stop)
    finally:
        await storage.close()
        await asyncio.to_thread(tracing.close)


async def _serve(worker: Worker, stop: asyncio.Event) -> int:
    async with _serving(worker) as parts:
        is_sound = await _until_told_or_broken(stop, parts.tasks)
        parts.health.cancel()
        worker.report("draining")
        is_drained = await _drain(worker.settings, parts)
    return 0 if is_sound and is_drained else 1


# --- starting ---------------------------------------------------------------------------------------


async def _storage_when_there(settings: Settings, report: Report, stop: asyncio.Event) -> OpenStorage | None:
    """Open storage, however long PostgreSQL or its schema is wanting; None if told to stop meanwhile."""
    reason = ""
    while not stop.is_set():
        try:
            return await open_storage(
                settings.dsn.get_secret_value(),
                connections=settings.lanes + CONNECTIONS_BESIDE_LANES,
                read_connections=READ_CONNECTIONS,
                statement_timeout_seconds=settings.statement_timeout_seconds,
            )
        except StorageFailure as failure:
            report("not_serving")
            if str(failure) != reason:
                reason = str(failure)
                log.warning("waiting for PostgreSQL", reason=reason)
        await _pause(stop, _RETRY_SECONDS)
    return None


def _tell_of_newer_schema(schema: Schema) -> None:
    if schema.is_newer:
        log.warning(
            "the database is of a newer program, which is well only during an upgrade",
            applied_version=schema.applied_version,
            known_version=schema.known_version,
        )


@asynccontextmanager
async def _serving(worker: Worker) -> AsyncIterator[Parts]:
    metrics, journal = LedgerMetrics(), open_journal(worker)
    await count_left_behind(worker, journal, metrics)
    batcher = make_batcher(worker, metrics, journal)
    batcher.start()
    server = await start_rpc(worker, batcher)
    health = asyncio.create_task(watch_health(worker, server), name="health")
    tasks = [*batcher.tasks, health, *_watch(worker, batcher, server, metrics)]
    try:
        yield Parts(batcher, server, health, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _watch(
    worker: Worker, batcher: Batcher, server: RpcServer, metrics: LedgerMetrics
) -> list[asyncio.Task[object]]:
    settings, storage = worker.settings, worker.storage
    watches = {
        "directory": storage.directory.watch(settings.directory_refresh_seconds),
        "partitions": storage.partitions.keep_ahead(
            settings.partitions_ahead, settings.partition_check_seconds
        ),
        "due": see_to_due(storage, batcher, settings.due_interval_seconds),
        "worker gauges": show_worker(worker, server),
        "chains": show_chains(worker, metrics),
        "loop lag": observe_loop_lag(),
    }
    if worker.place == _MEASURING_WORKER:
        watches["database gauges"] = show_database(storage, settings.measure_seconds)
    return [asyncio.create_task(watch, name=name) for name, watch in watches.items()]


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
