"""A worker's parts, put together."""

import os
from collections.abc import Callable
from pathlib import Path
from socket import gethostname
from typing import Final, NamedTuple

from processor.batcher import Batcher
from processor.card_book import CardBook
from processor.commit_journal import CommitJournal
from processor.config import Settings
from processor.ledger import Ledger
from processor.metrics import COMMIT_SECONDS, BatcherMetrics, LedgerMetrics
from processor.rpc.encoder import ProtobufEncoder
from processor.rpc.grpcio_transport import Tls
from processor.rpc.observation import Observation
from processor.rpc.server import RpcServer, start_server
from processor.supervisor_link import State
from processor.tracing import NO_TRACING, Tracing
from processor.worker import METRICS_VARIABLE
from storage.cards import PostgresCards
from storage.ledger import PostgresLedger
from storage.membership import PostgresMembers
from storage.opened import OpenStorage
from storage.reads import PostgresReader

# For cards, the directory, the partitions, measuring and what is due: none of them waits for the lanes.
CONNECTIONS_BESIDE_LANES: Final = 5
# Few, so that reads leave the processors of PostgreSQL to the lanes; more of them would only wait there.
READ_CONNECTIONS: Final = 2

Report = Callable[[State], None]


class Worker(NamedTuple):
    """What every part of a worker is made from; `place` is its index in the fleet."""

    place: int
    settings: Settings
    report: Report
    storage: OpenStorage
    tracing: Tracing


def open_journal(worker: Worker) -> CommitJournal:
    """The journal of the worker's place in the fleet, with what the one before it left."""
    directory = os.environ.get(METRICS_VARIABLE)
    file = Path(directory) / f"uncounted-{worker.place}.journal" if directory else None
    return CommitJournal(file, worker.settings.lanes)


def make_tracing(settings: Settings, place: int) -> Tracing:
    """What the settings ask for. OpenTelemetry is imported only where it is used."""
    if settings.trace == "off":
        return NO_TRACING
    from processor.otel_tracing import OtelTracing

    return OtelTracing(settings.trace_sample_ratio, {"service.instance.id": f"{gethostname()}-{place}"})


def make_batcher(worker: Worker, metrics: LedgerMetrics, journal: CommitJournal) -> Batcher:
    """The batcher over the ledger over PostgreSQL."""
    settings, storage, tracing = worker.settings, worker.storage, worker.tracing

    def note_commit(seconds: float) -> None:
        COMMIT_SECONDS.observe(seconds)
        tracing.note_step("commit", seconds)

    ledger = Ledger(
        PostgresLedger(storage.pool, storage.partitions, note_commit),
        storage.directory,
        ProtobufEncoder(),
        metrics,
        journal,
        tracing,
        retry_seconds=settings.retry_seconds,
    )
    return Batcher(
        ledger,
        BatcherMetrics(),
        CardBook(PostgresCards(storage.pool)),
        tracing,
        lanes=settings.lanes,
        batch_ops_max=settings.batch_ops_max,
        batch_chains_max=settings.batch_chains_max,
        queue_ops_max=settings.queue_ops_max,
        queue_bytes_max=settings.queue_bytes_max,
    )


async def start_rpc(worker: Worker, batcher: Batcher) -> RpcServer:
    """The gRPC server, listening."""
    settings, storage = worker.settings, worker.storage
    return await start_server(
        host=settings.host,
        port=settings.port,
        batcher=batcher,
        reader=PostgresReader(storage.read_pool),
        members=PostgresMembers(storage.read_pool),
        directory=storage.directory,
        message_bytes_max=settings.message_bytes_max,
        calls_max=settings.calls_max,
        reads_max=settings.reads_max,
        connection_age_seconds_max=settings.connection_age_seconds_max,
        connection_age_grace_seconds=settings.connection_age_grace_seconds,
        transport=settings.transport,
        tls=_tls(settings),
        observation=Observation(worker.tracing, settings.log_calls),
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
