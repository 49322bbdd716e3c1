"""Metrics that have no event of their own: they are set from time to time."""

import asyncio
import math
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, Protocol

from prometheus_client import Counter, Gauge, Histogram

from processor import buckets
from processor.labels import CHAINS

_PAGE_BYTES: Final = resource.getpagesize()
_LAG_INTERVAL_SECONDS: Final = 0.25
# The files by which workers hand on their metrics can't forget a series; the supervisor leaves these out.
GONE: Final = math.nan

POOL_CONNECTIONS: Final = Gauge(
    "loyalty_pool_connections",
    "Connections of the workers' pools, by state: idle, used. None idle: reads and upkeep wait.",
    ["state"],
    multiprocess_mode="livesum",
)
PARTITION_RUNWAY_SECONDS: Final = Gauge(
    "loyalty_partition_runway_seconds",
    "Seconds ahead of now for which the ledger has partitions. Short: they can't be made ahead.",
    multiprocess_mode="livemin",
)
DATABASE_UP: Final = Gauge(
    "loyalty_database_up",
    "1 if every worker's last probe found a PostgreSQL that takes writes, else 0. At 0 calls are refused.",
    multiprocess_mode="livemin",
)
LOOP_LAG_SECONDS: Final = Histogram(
    "loyalty_loop_lag_seconds",
    "Seconds that an event loop ran a timer late. Calls wait at least as long; high: no processor time.",
    buckets=buckets.SECONDS,
)
WORKER_RESIDENT_BYTES: Final = Gauge(
    "loyalty_worker_resident_bytes",
    "Bytes of memory that a worker occupies. Ever growing: a leak.",
    ["worker"],
    multiprocess_mode="livemostrecent",
)
WORKER_CALLS: Final = Gauge(
    "loyalty_worker_calls",
    "Calls under way in a worker, each second anew. Near loyalty_calls_max: calls are soon refused.",
    ["worker"],
    multiprocess_mode="livemostrecent",
)
CALLS_MAX: Final = Gauge(
    "loyalty_calls_max",
    "Calls that may be under way in one worker. The bound to judge loyalty_worker_calls by.",
    multiprocess_mode="livemax",
)
WORKER_CPU_SECONDS: Final = Counter(
    "loyalty_worker_cpu_seconds",
    "Seconds of processor time of a worker, user and system. A rate near 1: it needs another worker.",
    ["worker"],
)

OUTSTANDING_POINTS: Final = Gauge(
    "loyalty_outstanding_points",
    "Points that the chain owes its members, the sum of all balances, debts included. The chain's liability.",
    ["chain"],
    multiprocess_mode="mostrecent",
)
TABLE_BYTES: Final = Gauge(
    "loyalty_table_bytes",
    "Bytes of a table with all its partitions, without indexes. How fast the disk fills.",
    ["table"],
    multiprocess_mode="mostrecent",
)
INDEX_BYTES: Final = Gauge(
    "loyalty_index_bytes",
    "Bytes of a table's indexes. They should fit into memory.",
    ["table"],
    multiprocess_mode="mostrecent",
)
ACCOUNT_DEAD_TUPLES: Final = Gauge(
    "loyalty_account_dead_tuples",
    "Dead rows of the accounts that vacuum has not removed yet. Ever more: autovacuum does not keep up.",
    multiprocess_mode="mostrecent",
)
PARTITIONS: Final = Gauge(
    "loyalty_partitions",
    "Partitions attached to the ledger. Old ones are detached by the operator; every one costs a probe.",
    multiprocess_mode="mostrecent",
)
REPLICA_LAG_SECONDS: Final = Gauge(
    "loyalty_replica_lag_seconds",
    "Seconds that a standby's replay is behind. What a failover to it would wait for.",
    ["replica"],
    # A worker's successor does not know which standbys it showed, so they go with it.
    multiprocess_mode="livemostrecent",
)
SYNC_STANDBYS: Final = Gauge(
    "loyalty_sync_standbys",
    "Synchronous standbys that are connected; absent if the owner of the tables may not see them."
    " Fewer than wanted: COMMIT hangs.",
    multiprocess_mode="mostrecent",
)
SYNC_STANDBYS_WANTED: Final = Gauge(
    "loyalty_sync_standbys_wanted",
    "Synchronous standbys that COMMIT waits for. 0: a single server keeps what is acknowledged.",
    multiprocess_mode="mostrecent",
)
DUE_LAG_SECONDS: Final = Gauge(
    "loyalty_due_lag_seconds",
    "Seconds that an activation, an expiry or a hold's end is late. Growing: no job sees to it.",
    multiprocess_mode="mostrecent",
)

MEASURED_TIMESTAMP_SECONDS: Final = Gauge(
    "loyalty_measured_timestamp_seconds",
    "Seconds of unix time at which an item of the database was measured, or since when it is tried."
    " Old: what is shown of it may no longer be so.",
    ["item"],
    multiprocess_mode="mostrecent",
)
MEASURE_INTERVAL_SECONDS: Final = Gauge(
    "loyalty_measure_interval_seconds",
    "Seconds between two measurements of the database, as set. What is several times older is stale.",
    multiprocess_mode="mostrecent",
)

VERIFY_LAST_RUN_TIMESTAMP_SECONDS: Final = Gauge(
    "loyalty_verify_last_run_timestamp_seconds",
    "Seconds of unix time at which the last `verify` of all chains ended, 0 if none did. Run it daily.",
    multiprocess_mode="mostrecent",
)
VERIFY_OPERATIONS: Final = Gauge(
    "loyalty_verify_operations",
    "Operations that the last `verify` of all chains read. How much its result says.",
    multiprocess_mode="mostrecent",
)
VERIFY_DIFFERENCES: Final = Gauge(
    "loyalty_verify_differences",
    "Differences that the last `verify` of all chains found. Any: the ledger is not what its rows add up to.",
    multiprocess_mode="mostrecent",
)


class TableSize(Protocol):
    """A table with all of its partitions."""

    @property
    def name(self) -> str: ...
    @property
    def partitions(self) -> int: ...
    @property
    def table_bytes(self) -> int: ...
    @property
    def index_bytes(self) -> int: ...
    @property
    def dead_rows(self) -> int: ...


class Standby(Protocol):
    """A server that streams from the primary."""

    @property
    def name(self) -> str: ...
    @property
    def replay_lag_seconds(self) -> float: ...
    @property
    def is_sync(self) -> bool: ...


class Verification(Protocol):
    """What a `verify` of all chains found; `ended_at_seconds` is in unix time."""

    @property
    def ended_at_seconds(self) -> float: ...
    @property
    def operations(self) -> int: ...
    @property
    def differences(self) -> int: ...


def show_outstanding(points_by_chain: Mapping[str, int]) -> None:
    """Show what each chain owes; chains beyond the bound of labels are added up."""
    sums: dict[str, int] = {}
    for chain, points in points_by_chain.items():
        label = CHAINS.label(chain)
        sums[label] = sums.get(label, 0) + points
    for label, points in sums.items():
        OUTSTANDING_POINTS.labels(label).set(points)


def show_tables(tables: Sequence[TableSize]) -> None:
    """Show the sizes of the tables."""
    for table in tables:
        TABLE_BYTES.labels(table.name).set(table.table_bytes)
        INDEX_BYTES.labels(table.name).set(table.index_bytes)
        if table.name == "account":
            ACCOUNT_DEAD_TUPLES.set(table.dead_rows)
        if table.name == "operation":
            PARTITIONS.set(table.partitions)


class StandbyGauges:
    """Who follows the primary, and how closely."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, standbys: Sequence[Standby] | None, sync_wanted: int) -> None:
        """Show those that stream now, and no longer those that have gone; of None nothing is known."""
        lags = {standby.name: standby.replay_lag_seconds for standby in standbys or ()}
        for name in self._shown | lags.keys():
            REPLICA_LAG_SECONDS.labels(name).set(lags.get(name, GONE))
        self._shown = set(lags)
        SYNC_STANDBYS.set(GONE if standbys is None else sum(standby.is_sync for standby in standbys))
        SYNC_STANDBYS_WANTED.set(sync_wanted)


def show_verification(last: Verification | None) -> None:
    """Show the result of the last one, or zeros if there was none."""
    VERIFY_LAST_RUN_TIMESTAMP_SECONDS.set(last.ended_at_seconds if last else 0)
    VERIFY_OPERATIONS.set(last.operations if last else 0)
    VERIFY_DIFFERENCES.set(last.differences if last else 0)


class ProcessGauges:
    """What one worker uses of the machine."""

    def __init__(self, worker: int) -> None:
        self._resident_bytes = WORKER_RESIDENT_BYTES.labels(str(worker))
        self._calls = WORKER_CALLS.labels(str(worker))
        self._cpu_seconds = WORKER_CPU_SECONDS.labels(str(worker))
        self._counted_seconds = 0.0

    def show(self, calls: int) -> None:
        """Show memory and processor time as they are now, and how many calls are under way."""
        self._calls.set(calls)
        resident_pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        self._resident_bytes.set(resident_pages * _PAGE_BYTES)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used_seconds = usage.ru_utime + usage.ru_stime
        self._cpu_seconds.inc(used_seconds - self._counted_seconds)
        self._counted_seconds = used_seconds


async def observe_loop_lag() -> NoReturn:
    """Observe for ever how late the event loop is."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_INTERVAL_SECONDS
        await asyncio.sleep(_LAG_INTERVAL_SECONDS)
        LOOP_LAG_SECONDS.observe(max(loop.time() - due, 0))
