"""Gathers concurrent calls into batches: a lane that is free takes whatever has queued.

An idle service adds no latency, a busy one batches by itself, and waits a moment for more (see `turns`).
Calls of one member meet in the same lane, so they apply in the order of their arrival.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Final

from processor.backlog import Backlog, bytes_held
from processor.call import Call, CallGroup
from processor.card_book import CardBook
from processor.domain.command import Command
from processor.domain.outcomes import Outcome
from processor.lane import Lane
from processor.ledger import Ledger
from processor.metrics import BatcherMetrics
from processor.ports import Reply
from processor.thread_load import ThreadLoad
from processor.tracing import NO_TRACING, Tracing
from processor.turns import Turns

_SWEEP_SECONDS: Final = 0.05
# A stalled call is answered this long before its deadline, so that the reply still reaches the till.
_REPLY_MARGIN_SECONDS: Final = 0.15


class Batcher:
    """The bounded queues between the calls and the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        metrics: BatcherMetrics,
        cards: CardBook,
        tracing: Tracing = NO_TRACING,
        *,
        lanes: int,
        batch_ops_max: int,
        batch_chains_max: int,
        queue_ops_max: int,
        queue_bytes_max: int,
    ) -> None:
        """`queue_ops_max` bounds the calls of one chain that wait or are under way here.

        `queue_bytes_max` bounds the memory that those of all chains take.
        """
        self._ledger = ledger
        self._cards = cards
        self._tracing = tracing
        metrics.set_bounds(lanes, queue_ops_max)
        self._backlog = Backlog(metrics, chain_ops_max=queue_ops_max, bytes_max=queue_bytes_max)
        turns = Turns(ThreadLoad())
        self._lanes = [
            Lane(
                ledger,
                metrics,
                self._backlog,
                tracing,
                turns,
                batch_ops_max=batch_ops_max,
                batch_chains_max=batch_chains_max,
            )
            for _ in range(lanes)
        ]
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
        refusal = await self._take_on(chain_id, group, commands)
        if refusal is not None:
            self._ledger.refuse(chain_id, group.calls, refusal)
        return await group.replies()

    def offer(self, chain_id: int, call: Call) -> bool:
        """Queue a call at once, if that can be; else nothing has happened, and `submit` tells what is wrong.

        It can't if a card must be looked up first, or there is no room.
        """
        command, cards = call.command, self._cards
        if self._is_draining:
            return False
        if (command.card or cards.learning) and cards.must_learn(chain_id, (command,)):
            return False
        lane = self._lane_of(chain_id, command)
        call.trace_link = self._tracing.link()
        # Nothing may fail between these two.
        if not self._backlog.add(chain_id, 1, bytes_held(command)):
            return False
        lane.put(chain_id, call)
        return True

    async def _take_on(self, chain_id: int, group: CallGroup, commands: Sequence[Command]) -> Outcome | None:
        """Queue the calls; or return what they are to be refused with."""
        size_bytes = sum(map(bytes_held, commands))
        if not self._backlog.has_memory(size_bytes):
            return Outcome.QUEUE_FULL
        if self._cards.must_learn(chain_id, commands):
            with self._backlog.reserved(size_bytes):
                has_learned = await self._has_learned(chain_id, group)
            if not has_learned:
                return Outcome.STORAGE_UNAVAILABLE
        if self._is_draining:
            return Outcome.SHUTTING_DOWN
        lanes = self._lanes_of(chain_id, group.calls)
        # Nothing may fail between these two.
        if not self._backlog.add(chain_id, len(commands), size_bytes):
            return Outcome.QUEUE_FULL
        for lane, call in zip(lanes, group.calls, strict=True):
            lane.put(chain_id, call)
        return None

    async def _has_learned(self, chain_id: int, group: CallGroup) -> bool:
        """Look new cards up, one request after another; False if a till must be answered before that."""
        deadline = min([call.deadline for call in group.calls])
        answer_by = None if math.isinf(deadline) else deadline - _REPLY_MARGIN_SECONDS
        try:
            async with asyncio.timeout_at(answer_by):
                await self._cards.learn(chain_id, [call.command for call in group.calls])
        except TimeoutError:
            return False
        return True

    def _lanes_of(self, chain_id: int, calls: Sequence[Call]) -> list[Lane]:
        """A lane for each call: that of its member, unless a key is used for members of several."""
        lanes = [self._lane_of(chain_id, call.command) for call in calls]
        by_key: dict[str, Lane] = {}
        for lane, call in zip(lanes, calls, strict=True):
            key = call.command.idempotency_key
            if key and by_key.setdefault(key, lane) is not lane:
                return _joined_by_key(lanes, calls)
        return lanes

    def _lane_of(self, chain_id: int, command: Command) -> Lane:
        return self._lanes[self._cards.identity(chain_id, command) % len(self._lanes)]

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


def _joined_by_key(lanes: Sequence[Lane], calls: Sequence[Call]) -> list[Lane]:
    """Put all calls of lanes that a key connects into one of them.

    So those under a key keep their order, and those of a member, too.
    """
    joined = {lane: lane for lane in lanes}
    by_key: dict[str, Lane] = {}
    for lane, call in zip(lanes, calls, strict=True):
        key = call.command.idempotency_key
        one, other = joined[by_key.setdefault(key, lane)] if key else joined[lane], joined[lane]
        if one is not other:
            joined = {each: one if into is other else into for each, into in joined.items()}
    return [joined[lane] for lane in lanes]
