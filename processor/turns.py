"""Lanes with little to write take turns, and gather calls: what arrives meanwhile goes into larger batches.

A transaction costs as much as some thirty operations, in the worker and in PostgreSQL, so two small ones at a
time are dearer than one after the other, and both are done no sooner. A lane with much to write waits for
nobody: then one lane's Python and the other's PostgreSQL work at the same time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from processor.thread_load import ThreadLoad

LARGE_BATCH_OPS: Final = 100
# Where so many came while the last batch was written, more are coming.
_GATHER_OPS_MIN: Final = 4
# A worker that computes for so much of the time has calls at its door that it has not read yet.
_BUSY_SHARE: Final = 0.6
_GATHER_SECONDS_MAX: Final = 0.05
_LOOK_SECONDS: Final = 0.003
# A transaction that takes longer waits for something itself, which others need not wait for.
_WAIT_SECONDS_MAX: Final = 0.05


class Turns:
    """What the lanes of one worker share."""

    def __init__(self, load: ThreadLoad) -> None:
        """`load` is that of the thread which the lanes share."""
        self._load = load
        self._one_writes = asyncio.Lock()

    async def gather(self, waiting_ops: Callable[[], int]) -> None:
        """Let more calls come, but not for long, if many have and the worker has little time to spare.

        Such a worker loses no time by that: while the lane waits, it reads calls. Where it has time to spare,
        or no more come, nobody waits.
        """
        seen, now = 0, waiting_ops()
        if self._load.share() < _BUSY_SHARE or now < _GATHER_OPS_MIN:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + _GATHER_SECONDS_MAX
        while seen < now < LARGE_BATCH_OPS and loop.time() < until:
            await asyncio.sleep(_LOOK_SECONDS)
            seen, now = now, waiting_ops()

    @asynccontextmanager
    async def turn(self, queued_ops: int) -> AsyncIterator[None]:
        """Write inside of it. With little queued it is waited for, but not for long."""
        has_turn = queued_ops < LARGE_BATCH_OPS and await self._acquire()
        try:
            yield
        finally:
            if has_turn:
                self._one_writes.release()

    async def _acquire(self) -> bool:
        try:
            async with asyncio.timeout(_WAIT_SECONDS_MAX):
                return await self._one_writes.acquire()
        except TimeoutError:
            return False
