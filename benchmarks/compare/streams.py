"""A load of streams, into which messages go as fast as they take them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from benchmarks.compare.client import Answers
from benchmarks.compare.shapes import Shape
from benchmarks.compare.till import TIMEOUT_SECONDS, Till, method_path, reason


@dataclass(frozen=True)
class StreamLoad:
    """A stream on each connection."""

    till: Till
    shape: Shape

    @asynccontextmanager
    async def open(self) -> AsyncIterator["StreamSession"]:
        """As `Load.open`."""
        async with self.till.channels() as channels:
            yield StreamSession(self, channels)


class StreamSession:
    """As `Session`; every run opens its streams anew."""

    def __init__(self, load: StreamLoad, channels: Sequence[grpc.aio.Channel]) -> None:
        self._load = load
        self._requests = load.till.requests()
        self._metadata = load.till.metadata()
        method = method_path(load.shape.method)
        self._streams: list[Any] = [channel.stream_stream(method) for channel in channels]
        self._messages: list[bytes] = []

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        self._messages = self._load.shape.messages(self._requests, operations)

    async def run(self) -> Answers:
        """As `Session.run`."""
        failures: Counter[str] = Counter()
        messages = iter(self._messages)
        await asyncio.gather(*(self._exchange(messages, stream, failures) for stream in self._streams))
        return Answers(failures)

    async def _exchange(self, messages: Iterator[bytes], stream: Any, failures: Counter[str]) -> None:
        try:
            replies = stream(messages, metadata=next(self._metadata), timeout=TIMEOUT_SECONDS)
            async for reply in replies:
                failures.update(self._load.shape.faults(reply))
        except grpc.aio.AioRpcError as error:
            failures[reason(error)] += 1
