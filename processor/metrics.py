"""What the batcher, the ledger and the pool count and time.

Label children are made once, never on the way of a call, and calls are counted by the batch.
"""

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from time import perf_counter
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from processor.call import Call
from processor.domain.command import Kind
from processor.domain.failures import BatchConflict, OutcomeUnknown, StorageFailure, StorageUnavailable
from processor.domain.outcomes import Outcome
from processor.ports import Reply

_SECONDS: Final = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_BATCH_OPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 350, 500, 750, 1000)

BATCH_OPERATIONS: Final = Histogram(
    "loyalty_batch_operations", "Calls in one batch, that is in one transaction.", buckets=_BATCH_OPS
)
BATCH_SECONDS: Final = Histogram(
    "loyalty_batch_seconds", "Time from taking a batch to its replies, reruns included.", buckets=_SECONDS
)
QUEUE_WAIT_SECONDS: Final = Histogram(
    "loyalty_queue_wait_seconds",
    "Time that the oldest call of a batch had waited when the batch was taken.",
    buckets=_SECONDS,
)
COMMIT_SECONDS: Final = Histogram(
    "loyalty_commit_seconds", "Time of COMMIT, the wait for the disk and standbys included.", buckets=_SECONDS
)
LANE_BUSY_SECONDS: Final = Counter(
    "loyalty_lane_busy_seconds", "Seconds that lanes spent on batches; its rate is the number of busy lanes."
)
QUEUE_OPERATIONS: Final = Gauge(
    "loyalty_queue_operations", "Calls that wait or are under way.", multiprocess_mode="livesum"
)
LANES: Final = Gauge("loyalty_lanes", "Lanes, busy or free.", multiprocess_mode="livesum")
OPERATIONS: Final = Counter(
    "loyalty_operations",
    "Calls by kind and outcome, answers from the ledger not counted.",
    ["kind", "outcome"],
)
REPLAYS: Final = Counter("loyalty_replays", "Repeats answered from the ledger, by kind.", ["kind"])
BATCH_RERUNS: Final = Counter(
    "loyalty_batch_reruns", "Batches run again, by cause: conflict, unknown outcome, unavailable.", ["cause"]
)
POOL_CONNECTIONS: Final = Gauge(
    "loyalty_pool_connections",
    "Connections to PostgreSQL, by state: idle, used.",
    ["state"],
    multiprocess_mode="livesum",
)
PARTITION_RUNWAY_SECONDS: Final = Gauge(
    "loyalty_partition_runway_seconds",
    "How far ahead of now the ledger has partitions without a gap.",
    multiprocess_mode="livemin",
)


class BatcherMetrics:
    """The view of the queues and lanes."""

    def set_lanes(self, lanes: int) -> None:
        """Note how many lanes this process has."""
        LANES.set(lanes)

    def count_queued(self, change: int) -> None:
        """Note that so many calls more, or fewer, are open."""
        QUEUE_OPERATIONS.inc(change)

    @contextmanager
    def time_batch(self, operations: int, waited_seconds: float) -> Iterator[None]:
        """Time one batch of so many calls, the oldest of which has waited so long."""
        BATCH_OPERATIONS.observe(operations)
        QUEUE_WAIT_SECONDS.observe(waited_seconds)
        started = perf_counter()
        try:
            yield
        finally:
            seconds = perf_counter() - started
            BATCH_SECONDS.observe(seconds)
            LANE_BUSY_SECONDS.inc(seconds)


class LedgerMetrics:
    """The view of outcomes and reruns."""

    def __init__(self) -> None:
        self._operations = {
            (kind, outcome): OPERATIONS.labels(kind.name.lower(), outcome.name)
            for kind, outcome in product(Kind, Outcome)
        }
        self._replays = {kind: REPLAYS.labels(kind.name.lower()) for kind in Kind}
        self._reruns = {
            BatchConflict: BATCH_RERUNS.labels("conflict"),
            OutcomeUnknown: BATCH_RERUNS.labels("unknown"),
            StorageUnavailable: BATCH_RERUNS.labels("unavailable"),
        }

    def count_replies(self, calls: Sequence[Call], replies: Sequence[Reply | None]) -> None:
        """Count the replies of a batch; None stands for a call that nobody waited for."""
        tally = Tally(
            (call.command.kind, reply.outcome, reply.replayed)
            for call, reply in zip(calls, replies, strict=True)
            if reply
        )
        for (kind, outcome, replayed), count in tally.items():
            counter = self._replays[kind] if replayed else self._operations[kind, outcome]
            counter.inc(count)

    def count_rerun(self, failure: StorageFailure) -> None:
        """Count a batch that was not committed for this reason."""
        self._reruns[type(failure)].inc()
