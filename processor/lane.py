"""A lane: one batch at a time, from the calls that have queued for it."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from processor.call import Call
from processor.defects import report_defect
from processor.domain.outcomes import Outcome
from processor.failpoints import hit
from processor.ledger import Ledger
from processor.metrics import BatcherMetrics
from processor.tracing import Tracing
from processor.turns import Turns

_STALLED_SECONDS: Final = 0.15


class Lane:
    """One batch at a time, taken from the chains that have calls here in turn."""

    def __init__(
        self, ledger: Ledger, metrics: BatcherMetrics, tracing: Tracing, turns: Turns, batch_ops_max: int
    ) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._tracing = tracing
        self._turns = turns
        self._batch_ops_max = batch_ops_max
        self._queues: dict[int, deque[Call]] = {}
        self._current: Sequence[Call] = ()
        self._current_chain_id = 0
        self._current_since = 0.0
        self._has_calls = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def put(self, chain_id: int, call: Call) -> None:
        """Queue a call behind those of its chain."""
        self._queues.setdefault(chain_id, deque()).append(call)
        self._has_calls.set()
        self._is_idle.clear()

    def open_ops(self, chain_id: int) -> int:
        """How many calls of a chain wait or are under way here."""
        under_way = len(self._current) if chain_id == self._current_chain_id else 0
        return len(self._queues.get(chain_id, ())) + under_way

    async def is_idle(self) -> None:
        """Wait until the lane has nothing queued and nothing under way."""
        await self._is_idle.wait()

    async def run(self) -> None:
        """Apply batches for ever."""
        while True:
            await self._has_calls.wait()
            async with self._turns.turn(sum(map(len, self._queues.values()))):
                chain_id, calls = self._take()
                await self._apply(chain_id, calls)
            hit("between_batches")

    def _take(self) -> tuple[int, list[Call]]:
        """Take a batch of the chain that has waited longest; what it leaves goes behind the others."""
        chain_id = next(iter(self._queues))
        queue = self._queues.pop(chain_id)
        calls = [queue.popleft() for _ in range(min(len(queue), self._batch_ops_max))]
        if queue:
            self._queues[chain_id] = queue
        return chain_id, calls

    async def _apply(self, chain_id: int, calls: list[Call]) -> None:
        now = asyncio.get_running_loop().time()
        self._current, self._current_chain_id, self._current_since = calls, chain_id, now
        try:
            links = (call.trace_link for call in calls)
            with self._metrics.time_batch(len(calls), now - calls[0].arrived), self._tracing.batch(links):
                await self._ledger.apply(chain_id, calls)
        except Exception as defect:  # noqa: BLE001 - the lane must live on, and the calls be answered
            request_id = report_defect("batch failed", defect, chain_id=chain_id, calls=len(calls))
            # It may have been met after the commit, so nothing is known of the calls but that.
            self._ledger.refuse(chain_id, calls, Outcome.OUTCOME_UNKNOWN, request_id=request_id)
        self._current = ()
        self._metrics.count_queued(-len(calls))
        if not self._queues:
            self._has_calls.clear()
            self._is_idle.set()

    def is_stalled(self, now: float) -> bool:
        """Whether the batch under way has been so for long."""
        return bool(self._current) and now - self._current_since > _STALLED_SECONDS

    def answer_expiring(self, before: float) -> None:
        """Answer the calls whose deadline is `before` that time, and forget those that nobody waits for."""
        self._answer_if_expiring(self._current_chain_id, self._current, before, Outcome.OUTCOME_UNKNOWN)
        for chain_id, queue in list(self._queues.items()):
            self._answer_if_expiring(chain_id, queue, before, Outcome.STORAGE_UNAVAILABLE)
            self._forget_answered(chain_id, queue)

    def _answer_if_expiring(
        self, chain_id: int, calls: Iterable[Call], before: float, outcome: Outcome
    ) -> None:
        expiring = [call for call in calls if call.deadline < before and call.is_waiting]
        if expiring:
            self._ledger.refuse(chain_id, expiring, outcome)

    def _forget_answered(self, chain_id: int, queue: deque[Call]) -> None:
        waiting = deque(call for call in queue if call.is_waiting)
        self._metrics.count_queued(len(waiting) - len(queue))
        if waiting:
            self._queues[chain_id] = waiting
        else:
            del self._queues[chain_id]
