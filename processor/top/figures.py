"""The figures that are shown, each from the metrics that the catalogue explains. None stands for unknown."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from processor.domain.outcomes import Outcome
from processor.labels import UNKNOWN
from processor.top.rates import Change, Quantiles
from processor.top.scrape import Scrape

_APPLIED: Final = Outcome.APPLIED.name


@dataclass(frozen=True, slots=True)
class Traffic:
    """By the second. Operations include those refused, but not the repeats."""

    calls: float
    operations: float
    replays: float
    refusals: dict[str, float]
    failed_calls: dict[str, float]


@dataclass(frozen=True, slots=True)
class Path:
    """Where a call spends its time, in seconds, and how its batches look."""

    call_seconds: Quantiles
    queue_seconds: Quantiles
    batch_seconds: Quantiles
    commit_seconds: Quantiles
    batch_operations_mean: float | None
    batch_operations: Quantiles
    batches: float
    reruns: dict[str, float]
    queue_operations: float
    queue_operations_max: float
    lanes_busy: float
    lanes: float


@dataclass(frozen=True, slots=True)
class Database:
    """PostgreSQL as the server meets it."""

    is_up: bool
    connections_used: float
    connections_idle: float
    partition_runway_seconds: float | None
    partitions: float | None
    account_dead_tuples: float | None
    bytes: float
    replica_lag_seconds: dict[str, float]
    sync_standbys: float | None
    sync_standbys_wanted: float | None


@dataclass(frozen=True, slots=True)
class Worker:
    """`cpu` is the share of one core."""

    worker: str
    cpu: float
    resident_bytes: float
    restarts: float


@dataclass(frozen=True, slots=True)
class Chain:
    """By the second, but for the latency and the points that are owed."""

    chain: str
    operations: float
    replays: float
    refusals: float
    call_seconds: Quantiles
    issued_points: float
    redeemed_points: float
    outstanding_points: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All of a server, between two scrapes."""

    version: str
    seconds: float
    workers_serving: float
    workers_wanted: float
    loop_lag_seconds: Quantiles
    traffic: Traffic
    path: Path
    database: Database
    workers: list[Worker]
    chains: list[Chain]


def compute(before: Scrape, after: Scrape) -> Figures:
    """Everything; the busiest chains come first."""
    change = Change(before, after)
    return Figures(
        version=next(iter(after.values_of("loyalty_build_info", "version")), ""),
        seconds=change.seconds,
        workers_serving=after.sum("loyalty_workers_serving"),
        workers_wanted=after.sum("loyalty_workers"),
        loop_lag_seconds=change.quantiles("loyalty_loop_lag_seconds"),
        traffic=_traffic(change),
        path=_path(change),
        database=_database(after),
        workers=[_worker(change, worker) for worker in _workers(after)],
        chains=sorted(
            _chains(before, after),
            key=lambda chain: (-chain.operations - chain.replays, chain.chain),
        ),
    )


def _traffic(change: Change) -> Traffic:
    refusals = change.rates_by("loyalty_operations_total", "outcome")
    failed_calls = change.rates_by("grpc_server_handled_total", "grpc_code")
    return Traffic(
        calls=change.rate("grpc_server_handled_total"),
        operations=change.rate("loyalty_operations_total"),
        replays=change.rate("loyalty_replays_total"),
        refusals={outcome: rate for outcome, rate in refusals.items() if outcome != _APPLIED},
        failed_calls={code: rate for code, rate in failed_calls.items() if code != "OK"},
    )


def _path(change: Change) -> Path:
    after = change.after
    return Path(
        call_seconds=change.quantiles("grpc_server_handling_seconds"),
        queue_seconds=change.quantiles("loyalty_queue_wait_seconds"),
        batch_seconds=change.quantiles("loyalty_batch_seconds"),
        commit_seconds=change.quantiles("loyalty_commit_seconds"),
        batch_operations_mean=change.mean("loyalty_batch_operations"),
        batch_operations=change.quantiles("loyalty_batch_operations"),
        batches=change.rate("loyalty_batch_seconds_count"),
        reruns=change.rates_by("loyalty_batch_reruns_total", "cause"),
        queue_operations=after.sum("loyalty_queue_operations"),
        queue_operations_max=after.sum("loyalty_queue_operations_max"),
        lanes_busy=change.rate("loyalty_lane_busy_seconds_total"),
        lanes=after.sum("loyalty_lanes"),
    )


def _database(after: Scrape) -> Database:
    return Database(
        is_up=bool(after.value("loyalty_database_up")),
        connections_used=after.sum("loyalty_pool_connections", state="used"),
        connections_idle=after.sum("loyalty_pool_connections", state="idle"),
        partition_runway_seconds=after.value("loyalty_partition_runway_seconds"),
        partitions=after.value("loyalty_partitions"),
        account_dead_tuples=after.value("loyalty_account_dead_tuples"),
        bytes=after.sum("loyalty_table_bytes") + after.sum("loyalty_index_bytes"),
        replica_lag_seconds={
            labels["replica"]: lag for labels, lag in after.select("loyalty_replica_lag_seconds")
        },
        sync_standbys=after.value("loyalty_sync_standbys"),
        sync_standbys_wanted=after.value("loyalty_sync_standbys_wanted"),
    )


def _workers(after: Scrape) -> list[str]:
    return sorted(after.values_of("loyalty_worker_restarts_total", "worker"), key=int)


def _worker(change: Change, worker: str) -> Worker:
    return Worker(
        worker=worker,
        cpu=change.rate("loyalty_worker_cpu_seconds_total", worker=worker),
        resident_bytes=change.after.sum("loyalty_worker_resident_bytes", worker=worker),
        restarts=change.after.sum("loyalty_worker_restarts_total", worker=worker),
    )


def _chains(before: Scrape, after: Scrape) -> Iterator[Chain]:
    earlier = before.split("chain")
    for chain, scrape in after.split("chain").items():
        if chain == UNKNOWN:
            continue
        yield _chain(chain, Change(earlier.get(chain, Scrape(before.at_seconds, {})), scrape))


def _chain(chain: str, change: Change) -> Chain:
    """Of a change of that chain's samples alone."""
    operations = change.rate("loyalty_operations_total")
    return Chain(
        chain=chain,
        operations=operations,
        replays=change.rate("loyalty_replays_total"),
        refusals=operations - change.rate("loyalty_operations_total", outcome=_APPLIED),
        call_seconds=change.quantiles("loyalty_call_seconds"),
        issued_points=change.rate("loyalty_points_issued_total"),
        redeemed_points=change.rate("loyalty_points_redeemed_total"),
        outstanding_points=change.after.value("loyalty_outstanding_points"),
    )
