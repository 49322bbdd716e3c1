"""What the batcher and the ledger count and time.

Label children are made once, never on the way of a call, and calls are counted by the batch.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import product
from time import perf_counter
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from processor import buckets
from processor.call import Call
from processor.domain.command import CALLED_KINDS, SALE_KINDS, Command, Kind
from processor.domain.counts import RecordedCounts
from processor.domain.failures import BatchConflict, OutcomeUnknown, StorageFailure, StorageUnavailable
from processor.domain.outcomes import RECORDED_BELOW, Outcome
from processor.labels import CHAINS, TERMINALS
from processor.ports import Reply

_BATCH_OPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 350, 500, 750, 1000)

BATCH_OPERATIONS: Final = Histogram(
    "loyalty_batch_operations",
    "Operations in one batch, that is in one transaction. Grows with load; 1 under load: nothing is batched.",
    buckets=_BATCH_OPS,
)
BATCH_SECONDS: Final = Histogram(
    "loyalty_batch_seconds",
    "Seconds from taking a batch to its replies, reruns included. What a call spends in the ledger.",
    buckets=buckets.SECONDS,
)
QUEUE_WAIT_SECONDS: Final = Histogram(
    "loyalty_queue_wait_seconds",
    "Seconds that the oldest operation of a batch had waited, up to 0.05 for others. Long: lanes are slow.",
    buckets=buckets.SECONDS,
)
COMMIT_SECONDS: Final = Histogram(
    "loyalty_commit_seconds",
    "Seconds of COMMIT, the wait for disk and standbys included. Slow here: look at PostgreSQL's storage.",
    buckets=buckets.SECONDS,
)
LANE_BUSY_SECONDS: Final = Counter(
    "loyalty_lane_busy_seconds",
    "Seconds that lanes spent on batches. The rate is the busy lanes; near loyalty_lanes: saturated.",
)
QUEUE_OPERATIONS: Final = Gauge(
    "loyalty_queue_operations",
    "Operations that wait or are under way, in all queues. Near the bound: calls are soon refused.",
    multiprocess_mode="livesum",
)
QUEUE_OPERATIONS_MAX: Final = Gauge(
    "loyalty_queue_operations_max",
    "Operations of one chain that may be open in one worker. The bound to judge loyalty_queue_operations by.",
    multiprocess_mode="livemax",
)
LANES: Final = Gauge(
    "loyalty_lanes",
    "Lanes, busy or free, of all workers. What the rate of loyalty_lane_busy_seconds_total is judged by.",
    multiprocess_mode="livesum",
)
OPERATIONS: Final = Counter(
    "loyalty_operations",
    "Operations by chain, kind and outcome, without repeats of recorded ones. Throughput, refusals.",
    ["chain", "kind", "outcome"],
)
REPLAYS: Final = Counter(
    "loyalty_replays",
    "Repeats of operations, answered from the ledger. Many: tills do not get their replies.",
    ["chain", "kind"],
)
POINTS_ISSUED: Final = Counter(
    "loyalty_points_issued",
    "Points that came to members: sales earn, returns give back. As the ledger's own sum, also after kills.",
    ["chain", "kind"],
)
POINTS_REDEEMED: Final = Counter(
    "loyalty_points_redeemed",
    "Points that left members: sales spend, returns take back. As the ledger's own sum, also after kills.",
    ["chain", "kind"],
)
POINTS_EXPIRED: Final = Counter(
    "loyalty_points_expired",
    "Points whose time was over. As the ledger's own sum, also after kills; what the program never pays.",
    ["chain"],
)
KEY_CONFLICTS: Final = Counter(
    "loyalty_key_conflicts",
    "Operations refused for the key of another payload. Finds the terminal (store/terminal) at fault.",
    ["chain", "terminal"],
)
BATCH_RERUNS: Final = Counter(
    "loyalty_batch_reruns",
    "Batches run again, by cause: conflict, unknown, unavailable. Tells contention from outages.",
    ["cause"],
)
BATCHES_ABANDONED: Final = Counter(
    "loyalty_batches_abandoned",
    "Batches not committed in time, by what was answered. OUTCOME_UNKNOWN: may be committed all the same.",
    ["outcome"],
)
# What an operation may end with that is not recorded: the first one must be seen as an increase from 0.
UNRECORDED: Final = (
    Outcome.OCCURRED_AT_OUT_OF_WINDOW,
    Outcome.MEMBER_NOT_FOUND,
    Outcome.IDEMPOTENCY_KEY_REUSED,
    Outcome.QUEUE_FULL,
    Outcome.DEADLINE_PASSED,
    Outcome.STORAGE_UNAVAILABLE,
    Outcome.OUTCOME_UNKNOWN,
    Outcome.SHUTTING_DOWN,
    Outcome.INTERNAL_ERROR,
)


# What is counted and its labels, and how much of it.
Series = tuple[str, ...]
Totals = dict[Series, int]


class BatcherMetrics:
    """The view of the queues and lanes."""

    def __init__(self) -> None:
        # What one pass of the event loop changes is written at its end, once: calls come and go by hundreds.
        self._queued_change: int | None = None

    def set_bounds(self, lanes: int, queue_ops_max: int) -> None:
        """Note how many lanes this process has, and how many calls of a chain it takes on."""
        LANES.set(lanes)
        QUEUE_OPERATIONS_MAX.set(queue_ops_max)

    def count_queued(self, change: int) -> None:
        """Note that so many calls more, or fewer, are open."""
        if self._queued_change is None:
            self._queued_change = 0
            asyncio.get_running_loop().call_soon(self._write_queued)
        self._queued_change += change

    def _write_queued(self) -> None:
        QUEUE_OPERATIONS.inc(self._queued_change or 0)
        self._queued_change = None

    @contextmanager
    def time_batch(self, waited_seconds: float) -> Iterator[None]:
        """Time one batch, the oldest call of which has waited so long."""
        QUEUE_WAIT_SECONDS.observe(waited_seconds)
        started = perf_counter()
        try:
            yield
        finally:
            seconds = perf_counter() - started
            BATCH_SECONDS.observe(seconds)
            LANE_BUSY_SECONDS.inc(seconds)

    def count_batch(self, operations: int) -> None:
        """Note that a batch of so many calls is done with."""
        BATCH_OPERATIONS.observe(operations)


class LedgerMetrics:
    """The view of outcomes and reruns."""

    def __init__(self) -> None:
        self._expected: set[str] = set()
        self._reruns = {
            BatchConflict: BATCH_RERUNS.labels("conflict"),
            OutcomeUnknown: BATCH_RERUNS.labels("unknown"),
            StorageUnavailable: BATCH_RERUNS.labels("unavailable"),
        }
        self._abandoned = {
            outcome: BATCHES_ABANDONED.labels(outcome.name)
            for outcome in (Outcome.OUTCOME_UNKNOWN, Outcome.STORAGE_UNAVAILABLE)
        }

    def expect_chain(self, chain_name: str) -> None:
        """Have a chain's failures, and the points of its sales, counted from 0.

        Chains beyond the bound share theirs.
        """
        chain = CHAINS.label(chain_name)
        if chain in self._expected:
            return
        self._expected.add(chain)
        for kind, outcome in product(CALLED_KINDS, UNRECORDED):
            _operations_child(chain, kind, outcome)
        for kind in SALE_KINDS:
            POINTS_ISSUED.labels(chain, kind.name.lower())
            POINTS_REDEEMED.labels(chain, kind.name.lower())
        POINTS_EXPIRED.labels(chain)

    def count_recorded(self, counts: Sequence[RecordedCounts], promise: Callable[[Totals], object]) -> None:
        """Count the operations of a batch that is committed; `promise` is told the new totals before."""
        # Several chains may share a label.
        increments: Tally[Series] = Tally()
        for each in counts:
            increments.update(_increments(each))
        totals = {series: _exact(series).value + count for series, count in increments.items()}
        promise(totals)
        self.raise_to(totals)

    def raise_to(self, totals: Totals) -> None:
        """Bring counters up to these totals; those that have reached theirs stay as they are."""
        for series, total in totals.items():
            _exact(series).raise_to(total)

    def count_unrecorded(
        self, chain_name: str, calls: Sequence[Call], replies: Sequence[Reply | None]
    ) -> None:
        """Count the replies of a batch that left no row; None stands for a call that nobody waited for."""
        # Nearly always there is none.
        pairs = [
            (call.command, reply)
            for call, reply in zip(calls, replies, strict=True)
            if reply and (reply.replayed or reply.outcome >= RECORDED_BELOW)
        ]
        if not pairs:
            return
        chain = CHAINS.label(chain_name)
        tally = Tally((command.kind, reply.outcome, reply.replayed) for command, reply in pairs)
        for (kind, outcome, is_replay), count in tally.items():
            if is_replay:
                _replays_child(chain, kind).inc(count)
            else:
                _operations_child(chain, kind, outcome).inc(count)
        if any(outcome is Outcome.IDEMPOTENCY_KEY_REUSED for _, outcome, _ in tally):
            _count_conflicts(chain, pairs)

    def count_rerun(self, failure: StorageFailure) -> None:
        """Count a batch that was not committed for this reason."""
        self._reruns[type(failure)].inc()

    def count_abandoned(self, outcome: Outcome) -> None:
        """Count a batch that is not run again, its calls answered with this outcome."""
        self._abandoned[outcome].inc()


def _count_conflicts(chain: str, pairs: Iterable[tuple[Command, Reply]]) -> None:
    for command, reply in pairs:
        if reply.outcome is Outcome.IDEMPOTENCY_KEY_REUSED:
            terminal = TERMINALS.label(f"{command.store_id}/{command.terminal_id}")
            KEY_CONFLICTS.labels(chain, terminal).inc()


@cache
def _operations_child(chain: str, kind: Kind, outcome: Outcome) -> Counter:
    return OPERATIONS.labels(chain, kind.name.lower(), outcome.name)


@cache
def _replays_child(chain: str, kind: Kind) -> Counter:
    return REPLAYS.labels(chain, kind.name.lower())


# --- counters that a kill can't make differ from the ledger -------------------------------------------

_RECORDED: Final[Mapping[str, Counter]] = {
    "operations": OPERATIONS,
    "points_issued": POINTS_ISSUED,
    "points_redeemed": POINTS_REDEEMED,
    "points_expired": POINTS_EXPIRED,
}


class _ExactCounter:
    """Knows its value, so that an increment that may have been made or not can be made sure."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        [family] = counter.collect()
        self.value = int(family.samples[0].value)

    def raise_to(self, total: int) -> None:
        if total > self.value:
            self._counter.inc(total - self.value)
            self.value = total


@cache
def _exact(series: Series) -> _ExactCounter:
    name, *labels = series
    return _ExactCounter(_RECORDED[name].labels(*labels))


def _increments(counts: RecordedCounts) -> Totals:
    chain = CHAINS.label(counts.chain)
    found: Tally[Series] = Tally()
    for (kind, outcome), (operations, issued_points, redeemed_points) in counts.sums.items():
        kind_name = Kind(kind).name.lower()
        found["operations", chain, kind_name, Outcome(outcome).name] += operations
        found["points_issued", chain, kind_name] += issued_points
        found[_series_of_redeemed(chain, kind)] += redeemed_points
    return +found


def _series_of_redeemed(chain: str, kind: int) -> Series:
    if kind == Kind.EXPIRE:
        return "points_expired", chain
    return "points_redeemed", chain, Kind(kind).name.lower()
