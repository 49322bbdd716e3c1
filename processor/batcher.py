"""Gathers concurrent calls into batches: a lane that is free takes whatever has queued, at once.

An idle service adds no latency, a busy one batches by itself; there are no timers. Calls that name a member by
its number always meet in the same lane, so they apply in the order of their arrival.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final
from zlib import crc32

import structlog

from processor.call import Call, CallGroup
from processor.domain.command import Command
from processor.domain.outcomes import Outcome
from processor.failpoints import hit
from processor.ledger import Ledger
from processor.metrics import BatcherMetrics
from processor.ports import Reply

_SWEEP_SECONDS: Final = 0.05
# A stalled call is answered this long before its deadline, so that the reply still reaches the till.
_REPLY_MARGIN_SECONDS: Final = 0.15

log = structlog.get_logger()


class Batcher:
    """The bounded queues between the calls and the ledger; one future per group of calls."""

    def __init__(
        self,
        ledger: Ledger,
        metrics: BatcherMetrics,
        *,
        lanes: int,
        batch_ops_max: int,
        queue_ops_max: int,
    ) -> None:
        """`queue_ops_max` bounds the calls of one chain that wait or are under way."""
        self._ledger = ledger
        self._metrics = metrics
        metrics.set_lanes(lanes)
        self._queue_ops_max = queue_ops_max
        self._open_ops: defaultdict[int, int] = defaultdict(int)
        self._lanes = [Lane(ledger, metrics, batch_ops_max) for _ in range(lanes)]
        self._tasks: list[asyncio.Task[None]] = []
        self._is_draining = False

    def start(self) -> None:
        """Start the lanes on the running event loop."""
        runs = [lane.run() for lane in self._lanes]
        self._tasks = [asyncio.create_task(run) for run in (*runs, self._sweep())]

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """The tasks that must live as long as the batcher; one that ends is a defect."""
        return self._tasks

    async def submit(self, chain_id: int, commands: Sequence[Command], deadline: float) -> list[Reply]:
        """Apply commands of one chain and return their replies, in order.

        `deadline` is in the event loop's seconds. If the caller is cancelled, its calls that are not yet
        decided are dropped, and nobody else's. Commands that do not fit into the queue are all refused.
        """
        group = CallGroup(commands, deadline)
        if self._is_draining:
            self._ledger.refuse(group.calls, Outcome.SHUTTING_DOWN)
        elif self._open_ops[chain_id] + len(commands) > self._queue_ops_max:
            self._ledger.refuse(group.calls, Outcome.QUEUE_FULL)
        else:
            return await self._queue(chain_id, group)
        return await group.replies()

    async def _queue(self, chain_id: int, group: CallGroup) -> list[Reply]:
        size = len(group.calls)
        self._open_ops[chain_id] += size
        self._metrics.count_queued(size)
        try:
            for lane, call in zip(self._lanes_of(group.calls), group.calls, strict=True):
                lane.put(chain_id, call)
            return await group.replies()
        finally:
            self._open_ops[chain_id] -= size
            self._metrics.count_queued(-size)

    def _lanes_of(self, calls: Sequence[Call]) -> list["Lane"]:
        """A lane for each call of one request, so that calls of one member or one key keep their order.

        A card may be any member's, so with a card among them, all of them take one lane.
        """
        commands = [call.command for call in calls]
        keys = {command.idempotency_key for command in commands}
        if len(keys) < len(commands) or any(command.card for command in commands):
            return [self._lane_of(commands[0])] * len(commands)
        return [self._lane_of(command) for command in commands]

    def _lane_of(self, command: Command) -> "Lane":
        identity = crc32(command.card.encode()) if command.card else command.member_id
        return self._lanes[identity % len(self._lanes)]

    async def drain(self) -> None:
        """Refuse new calls, finish what has been taken on, and end the lanes."""
        self._is_draining = True
        await asyncio.gather(*(lane.is_idle() for lane in self._lanes))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _sweep(self) -> None:
        """When a lane is stalled, answer its calls whose deadline is near: the till must hear something."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for lane in self._lanes:
                lane.answer_expiring(loop.time() + _REPLY_MARGIN_SECONDS)


class Lane:
    """One batch at a time, taken from the chains that have calls here in turn."""

    def __init__(self, ledger: Ledger, metrics: BatcherMetrics, batch_ops_max: int) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._batch_ops_max = batch_ops_max
        self._queues: dict[int, deque[Call]] = {}
        self._current: Sequence[Call] = ()
        self._current_since = 0.0
        self._has_calls = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def put(self, chain_id: int, call: Call) -> None:
        """Queue a call behind those of its chain."""
        self._queues.setdefault(chain_id, deque()).append(call)
        self._has_calls.set()
        self._is_idle.clear()

    async def is_idle(self) -> None:
        """Wait until the lane has nothing queued and nothing under way."""
        await self._is_idle.wait()

    async def run(self) -> None:
        """Apply batches for ever."""
        while True:
            await self._has_calls.wait()
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
        self._current, self._current_since = calls, asyncio.get_running_loop().time()
        try:
            with self._metrics.time_batch(len(calls), self._current_since - calls[0].arrived):
                await self._ledger.apply(chain_id, calls)
        except Exception:
            log.exception("batch failed", chain_id=chain_id, calls=len(calls))
            self._ledger.refuse(calls, Outcome.INTERNAL_ERROR)
        self._current = ()
        if not self._queues:
            self._has_calls.clear()
            self._is_idle.set()

    def answer_expiring(self, before: float) -> None:
        """Answer the calls whose deadline is `before` that time, unless the lane is getting on."""
        if not self._current or before - self._current_since < 2 * _REPLY_MARGIN_SECONDS:
            return
        self._answer_if_expiring(self._current, before, Outcome.OUTCOME_UNKNOWN)
        for queue in self._queues.values():
            self._answer_if_expiring(queue, before, Outcome.STORAGE_UNAVAILABLE)

    def _answer_if_expiring(
        self, calls: Sequence[Call] | deque[Call], before: float, outcome: Outcome
    ) -> None:
        expiring = [call for call in calls if call.deadline < before and call.is_waiting]
        if expiring:
            self._ledger.refuse(expiring, outcome)
