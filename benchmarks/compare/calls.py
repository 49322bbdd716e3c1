"""Loads of calls, each with one message: as many at a time as there are callers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import grpc

from benchmarks.compare.client import Answers
from benchmarks.compare.percentiles import CALL, percentiles
from benchmarks.compare.shapes import Shape
from benchmarks.compare.till import TIMEOUT_SECONDS, Metadata, Till, method_path, reason


@dataclass(frozen=True)
class CallLoad:
    """Unary calls, `in_flight` at a time."""

    till: Till
    shape: Shape
    in_flight: int

    @asynccontextmanager
    async def open(self) -> AsyncIterator["CallSession"]:
        """As `Load.open`."""
        async with self.till.channels() as channels:
            yield CallSession(self, channels)


class CallSession:
    """As `Session`: each of `in_flight` callers sends the next message once its last one is answered."""

    def __init__(self, load: CallLoad, channels: Sequence[grpc.aio.Channel]) -> None:
        self._load = load
        self._requests = load.till.requests()
        self._metadata = load.till.metadata()
        calls: list[Any] = [channel.unary_unary(method_path(load.shape.method)) for channel in channels]
        self._callers = [calls[number % len(calls)] for number in range(load.in_flight)]
        self._messages: list[bytes] = []
        self._failures: Counter[str] = Counter()
        self._latencies_seconds: list[float] = []

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        self._messages = self._load.shape.messages(self._requests, operations)
        self._failures, self._latencies_seconds = Counter(), []

    async def run(self) -> Answers:
        """As `Session.run`."""
        messages = zip(self._messages, self._metadata, strict=False)
        await asyncio.gather(*(self._send_each(messages, call) for call in self._callers))
        return Answers(self._failures, latencies={CALL: percentiles(self._latencies_seconds)})

    async def _send_each(self, messages: Iterator[tuple[bytes, Metadata]], call: Any) -> None:
        faults = self._load.shape.faults
        for message, metadata in messages:
            started = perf_counter()
            try:
                reply = await call(message, metadata=metadata, timeout=TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as error:
                self._failures[reason(error)] += 1
            else:
                self._latencies_seconds.append(perf_counter() - started)
                self._failures.update(faults(reply))
