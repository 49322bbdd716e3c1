"""Gathers concurrent calls into batches: a lane that is free takes whatever has queued, at once.

An idle service adds no latency, a busy one batches by itself; there are no timers. Calls that name a member
by its number always meet in the same lane, so they apply in the order of their arrival.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from processor.call import Call, CallGroup
from processor.domain.command import Command
from processor.domain.outcomes import Outcome
from processor.lane import Lane
from processor.ledger import Ledger
from processor.metrics import BatcherMetrics
from processor.ports import Reply
from processor.tracing import NO_TRACING, Tracing

_SWEEP_SECONDS: Final = 0.05
# A stalled call is answered this long before its deadline, so that the reply still reaches the till.
_REPLY_MARGIN_SECONDS: Final = 0.15


class Batcher:
    """The bounded queues between the calls and the ledger; one future per group of calls."""

    def __init__(
        self,
        ledger: Ledger,
        metrics: BatcherMetrics,
        tracing: Tracing = NO_TRACING,
        *,
        lanes: int,
        batch_ops_max: int,
        queue_ops_max: int,
    ) -> None:
        """`queue_ops_max` bounds the calls of one chain that wait or are under way here."""
        self._ledger = ledger
        self._metrics = metrics
        self._tracing = tracing
        metrics.set_bounds(lanes, queue_ops_max)
        self._queue_ops_max = queue_ops_max
        self._lanes = [Lane(ledger, metrics, tracing, batch_ops_max) for _ in range(lanes)]
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
        group = CallGroup(commands, deadline, self._tracing.link())
        if self._is_draining:
            self._ledger.refuse(chain_id, group.calls, Outcome.SHUTTING_DOWN)
        elif self._open_ops(chain_id) + len(commands) > self._queue_ops_max:
            self._ledger.refuse(chain_id, group.calls, Outcome.QUEUE_FULL)
        else:
            self._queue(chain_id, group)
        return await group.replies()

    def _open_ops(self, chain_id: int) -> int:
        return sum(lane.open_ops(chain_id) for lane in self._lanes)

    def _queue(self, chain_id: int, group: CallGroup) -> None:
        self._metrics.count_queued(len(group.calls))
        for lane, call in zip(self._lanes_of(group.calls), group.calls, strict=True):
            lane.put(chain_id, call)

    def _lanes_of(self, calls: Sequence[Call]) -> list[Lane]:
        """A lane for each call of one request, so that calls of one member or one key keep their order.

        A card may be any member's, so with a card among them, all of them take one lane.
        """
        commands = [call.command for call in calls]
        keys = {command.idempotency_key for command in commands}
        if len(keys) < len(commands) or any(command.card for command in commands):
            return [self._lane_of(commands[0])] * len(commands)
        return [self._lane_of(command) for command in commands]

    def _lane_of(self, command: Command) -> Lane:
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
                if lane.is_stalled(loop.time()):
                    lane.answer_expiring(loop.time() + _REPLY_MARGIN_SECONDS)
