"""Lanes with little to write take turns: what arrives meanwhile goes into larger batches.

A transaction costs as much as some thirty operations, in the worker and in PostgreSQL, so two small ones at a
time are dearer than one after the other, and both are done no sooner. A lane with much to write waits for
nobody: then one lane's Python and the other's PostgreSQL work at the same time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

LARGE_BATCH_OPS: Final = 100
# A transaction that takes longer waits for something itself, which others need not wait for.
_WAIT_SECONDS_MAX: Final = 0.05


class Turns:
    """What the lanes of one worker share."""

    def __init__(self) -> None:
        self._one_writes = asyncio.Lock()

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
