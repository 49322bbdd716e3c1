"""A lane: one batch at a time, from the calls that have queued for it."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from processor.backlog import Backlog
from processor.batch import Batch, Share
from processor.call import Call
from processor.defects import report_defect
from processor.domain.outcomes import Outcome
from processor.failpoints import hit
from processor.ledger import Ledger
from processor.metrics import BatcherMetrics
from processor.tracing import Tracing
from processor.turns import Turns

_STALLED_SECONDS: Final = 0.15
# What a chain adds to the work of a batch is as much as some calls; so few are not worth it if many wait.
_SHARE_OPS_MIN: Final = 20


class Lane:
    """One batch at a time, of calls of as many chains as have some here.

    Chains take turns: those that have waited longest come first; what a chain leaves goes behind the others.
    They share a batch equally, as far as they have calls for it; but before more chains come in, the first
    have 20 calls each. So, however long a chain's queue is, the others wait for no more than their turn, and
    it has whatever they leave.
    """

    def __init__(
        self,
        ledger: Ledger,
        metrics: BatcherMetrics,
        backlog: Backlog,
        tracing: Tracing,
        turns: Turns,
        *,
        batch_ops_max: int,
        batch_chains_max: int,
    ) -> None:
        """`backlog` has what is put here from before; the lane takes it off when it is done with."""
        self._ledger = ledger
        self._metrics = metrics
        self._backlog = backlog
        self._tracing = tracing
        self._turns = turns
        self._batch_ops_max = batch_ops_max
        self._batch_chains_max = batch_chains_max
        self._queues: dict[int, deque[Call]] = {}
        self._set_aside: deque[Share] = deque()
        self._current = Batch(())
        self._current_since = 0.0
        self._has_calls = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def put(self, chain_id: int, call: Call) -> None:
        """Queue a call behind those of its chain."""
        queue = self._queues.get(chain_id)
        if queue is not None:
            queue.append(call)
            return
        self._queues[chain_id] = deque((call,))
        self._has_calls.set()
        self._is_idle.clear()

    async def is_idle(self) -> None:
        """Wait until the lane has nothing queued and nothing under way."""
        await self._is_idle.wait()

    async def run(self) -> None:
        """Apply batches for ever."""
        while True:
            await self._has_calls.wait()
            if not self._set_aside:
                await self._turns.gather(self._waiting_ops)
            async with self._turns.turn(self._waiting_ops()):
                await self._apply(self._take())
            hit("between_batches")

    def _waiting_ops(self) -> int:
        aside_ops = sum(len(share.calls) for share in self._set_aside)
        return aside_ops + sum(map(len, self._queues.values()))

    def _take(self) -> Batch:
        """Take what an earlier batch has set aside, by itself; else the next calls of the chains in turn."""
        if self._set_aside:
            return Batch([self._filled_up(self._set_aside.popleft())])
        chain_ids = self._next_chains()
        waiting_ops = [len(self._queues[chain_id]) for chain_id in chain_ids]
        shares = zip(chain_ids, fair_shares(waiting_ops, self._batch_ops_max), strict=True)
        return Batch([self._take_share(chain_id, ops) for chain_id, ops in shares])

    def _filled_up(self, share: Share) -> Share:
        """With calls of its chain that have queued since: it writes alone, so it has all the room."""
        room_ops = self._batch_ops_max - len(share.calls)
        queued_ops = len(self._queues.get(share.chain_id, ()))
        has_others = any(other.chain_id == share.chain_id for other in self._set_aside)
        if share.uncertain or has_others or not (room_ops and queued_ops):
            return share
        more = self._take_share(share.chain_id, min(room_ops, queued_ops))
        return Share(share.chain_id, [*share.calls, *more.calls])

    def _next_chains(self) -> list[int]:
        """Those whose turn it is, as many as fill a batch."""
        chain_ids: list[int] = []
        room_ops = self._batch_ops_max
        for chain_id, queue in islice(self._queues.items(), self._batch_chains_max):
            chain_ids.append(chain_id)
            room_ops -= min(len(queue), _SHARE_OPS_MIN)
            if room_ops <= 0:
                break
        return chain_ids

    def _take_share(self, chain_id: int, ops: int) -> Share:
        queue = self._queues.pop(chain_id)
        calls = [queue.popleft() for _ in range(ops)]
        if queue:
            self._queues[chain_id] = queue
        return Share(chain_id, calls)

    async def _apply(self, batch: Batch) -> None:
        now = asyncio.get_running_loop().time()
        self._current, self._current_since = batch, now
        waited_seconds = now - min(share.waited_since for share in batch.shares)
        try:
            links = (call.trace_link for share in batch.shares for call in share.calls)
            with self._metrics.time_batch(waited_seconds), self._tracing.batch(links):
                await self._ledger.apply(batch)
        except Exception as defect:  # noqa: BLE001 - the lane must live on, and the calls be answered
            request_id = report_defect("batch failed", defect, chain_ids=batch.chain_ids, calls=batch.ops)
            # It may have been met after the commit, so nothing is known of the calls but that.
            for share in batch.shares:
                self._ledger.refuse(
                    share.chain_id, share.calls, Outcome.OUTCOME_UNKNOWN, request_id=request_id
                )
        self._finish(batch)

    def _finish(self, batch: Batch) -> None:
        self._current = Batch(())
        self._set_aside.extend(batch.set_aside)
        for share in batch.shares:
            self._backlog.remove(share.chain_id, share.calls)
        if batch.shares:
            self._metrics.count_batch(batch.ops)
        if not self._queues and not self._set_aside:
            self._has_calls.clear()
            self._is_idle.set()

    def is_stalled(self, now: float) -> bool:
        """Whether the batch under way has been so for long."""
        return bool(self._current.shares) and now - self._current_since > _STALLED_SECONDS

    def answer_expiring(self, before: float) -> None:
        """Answer the calls whose deadline is `before` that time, and forget those that nobody waits for."""
        for share in self._current.shares:
            self._answer_if_expiring(share.chain_id, share.calls, before, Outcome.OUTCOME_UNKNOWN)
        for share in (*self._current.set_aside, *self._set_aside):
            self._answer_if_expiring(share.chain_id, share.calls, before, share.if_given_up)
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
        waiting = deque([call for call in queue if call.is_waiting])
        self._backlog.remove(chain_id, [call for call in queue if not call.is_waiting])
        if waiting:
            self._queues[chain_id] = waiting
        else:
            del self._queues[chain_id]


def fair_shares(wanted: Sequence[int], room: int) -> list[int]:
    """Divide `room` so that nobody gets more than wanted, nor less than another unless that is all it wants.

    There is room for one each at least.
    """
    shares = [0] * len(wanted)
    left = len(wanted)
    for index in sorted(range(len(wanted)), key=wanted.__getitem__):
        shares[index] = min(wanted[index], room // left)
        room -= shares[index]
        left -= 1
    return shares
