"""A load that comes when it comes, however long answers take: Poisson arrivals at a rate."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from time import perf_counter
from typing import Any

import grpc

from benchmarks.compare.calls import CALL
from benchmarks.compare.client import Answers
from benchmarks.compare.shapes import Shape
from benchmarks.compare.till import TIMEOUT_SECONDS, Till, method_path


@dataclass(frozen=True)
class OpenLoad:
    """Unary calls, so many a second."""

    till: Till
    shape: Shape
    calls_per_second: float

    @asynccontextmanager
    async def open(self) -> AsyncIterator["OpenSession"]:
        """As `Load.open`."""
        async with self.till.channels() as channels:
            yield OpenSession(self, channels)


class OpenSession:
    """As `Session`; a latency counts from when the call was due, so that a stall is not forgiven."""

    def __init__(self, load: OpenLoad, channels: Sequence[grpc.aio.Channel]) -> None:
        self._load = load
        self._requests = load.till.requests()
        self._metadata = load.till.metadata()
        self._calls: cycle[Any] = cycle(
            [channel.unary_unary(method_path(load.shape.method)) for channel in channels]
        )
        self._messages: list[bytes] = []
        self._latencies_seconds: list[float] = []

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        self._messages = self._load.shape.messages(self._requests, operations)
        self._latencies_seconds = []

    async def run(self) -> Answers:
        """As `Session.run`."""
        due = perf_counter()
        async with asyncio.TaskGroup() as under_way:
            for message in self._messages:
                due += random.expovariate(self._load.calls_per_second)
                await _sleep_until(due)
                under_way.create_task(self._send(message, due))
        failed_calls = len(self._messages) - len(self._latencies_seconds)
        return Answers(Counter(), failed_calls, {CALL: self._latencies_seconds})

    async def _send(self, message: bytes, due: float) -> None:
        call = next(self._calls)
        try:
            await call(message, metadata=next(self._metadata), timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError:
            return
        self._latencies_seconds.append(perf_counter() - due)


async def _sleep_until(moment: float) -> None:
    wait_seconds = moment - perf_counter()
    if wait_seconds > 0:
        await asyncio.sleep(wait_seconds)
