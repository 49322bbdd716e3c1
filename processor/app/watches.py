"""What a worker looks after for ever, beside its calls."""

import asyncio
from typing import Final, NoReturn

import structlog

from processor.app.parts import Worker
from processor.commit_journal import CommitJournal, Note
from processor.domain.failures import StorageFailure, StorageUnavailable
from processor.gauges import (
    CALLS_MAX,
    DATABASE_UP,
    PARTITION_RUNWAY_SECONDS,
    POOL_CONNECTIONS,
    ProcessGauges,
)
from processor.metrics import LedgerMetrics
from processor.rpc.server import RpcServer
from storage.probe import Probe
from storage.reads import PostgresReader

_PROBE_INTERVAL_SECONDS: Final = 1.0
_PROBE_TIMEOUT_SECONDS: Final = 3.0

log = structlog.get_logger()


async def watch_health(worker: Worker, server: RpcServer) -> NoReturn:
    """Tell balancers and the supervisor whether the service can write to PostgreSQL."""
    probe = Probe(worker.settings.dsn.get_secret_value())
    told = ""
    try:
        while True:
            reason = await _why_unavailable(probe)
            if reason and not told:
                log.warning("PostgreSQL is not available", reason=reason)
            if reason:
                await worker.storage.renew()
            told, is_serving = reason, not reason
            DATABASE_UP.set(is_serving)
            await server.set_serving(is_serving)
            worker.report("serving" if is_serving else "not_serving")
            await asyncio.sleep(_PROBE_INTERVAL_SECONDS)
    finally:
        probe.close()


async def _why_unavailable(probe: Probe) -> str:
    try:
        await probe.check(_PROBE_TIMEOUT_SECONDS)
    except StorageUnavailable as failure:
        return str(failure)
    return ""


async def show_worker(worker: Worker, server: RpcServer) -> NoReturn:
    """Keep the gauges of this process."""
    CALLS_MAX.set(server.places.places_max)
    process = ProcessGauges(worker.place)
    used, idle = POOL_CONNECTIONS.labels("used"), POOL_CONNECTIONS.labels("idle")
    while True:
        connections = worker.storage.count_connections()
        used.set(connections.used)
        idle.set(connections.idle)
        PARTITION_RUNWAY_SECONDS.set(worker.storage.partitions.runway_seconds())
        process.show(server.places.taken)
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)


async def show_chains(worker: Worker, metrics: LedgerMetrics) -> NoReturn:
    """Have the counters of failures at 0 for each chain as soon as it is known."""
    while True:
        for name in worker.storage.directory.chain_names():
            metrics.expect_chain(name)
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)


async def count_left_behind(worker: Worker, journal: CommitJournal, metrics: LedgerMetrics) -> None:
    """Count the batches that the process before this one was killed over, if they were committed."""
    try:
        await _count(worker, journal, metrics)
    except ValueError as error:
        # The package was replaced under its running supervisor.
        log.warning("batches of the process before are not counted: it was another version", error=str(error))
        for slot in journal.left_behind:
            slot.clear()


async def _count(worker: Worker, journal: CommitJournal, metrics: LedgerMetrics) -> None:
    left_behind = [(slot, slot.read()) for slot in journal.left_behind]
    # Totals come first: those that others are added to.
    for slot, entry in sorted(left_behind, key=lambda each: isinstance(each[1], Note)):
        if not isinstance(entry, Note):
            metrics.raise_to(entry)
        elif await _is_committed(worker, entry):
            metrics.count_recorded(entry.counts, slot.promise)
        slot.clear()


async def _is_committed(worker: Worker, note: Note) -> bool:
    reader = PostgresReader(worker.storage.pool)
    try:
        recorded = await reader.recorded(note.chain_id, note.idempotency_key)
    except StorageFailure as failure:
        # Serving matters more than a count; a synchronous standby may be away for long.
        log.warning("a batch of the process before is not counted", error=str(failure))
        return False
    return recorded is not None and recorded.entry_hash == note.entry_hash
