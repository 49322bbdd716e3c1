"""The loads that go over gRPC: accruals, one or many a call, or many a message of a stream."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import grpc

from benchmarks.members import Members
from benchmarks.requests import Requests
from loyalty.v1.transaction_service_pb2 import (
    DESCRIPTOR,
    OperationRequest,
    ProcessBatchRequest,
    ProcessBatchResponse,
)

_SERVICE: Final = DESCRIPTOR.services_by_name["TransactionService"].full_name
_TIMEOUT_SECONDS: Final = 60
BASKET_LINES: Final = 30


@dataclass(frozen=True)
class Till:
    """Who sends: `connections` TCP connections under one API key, for members drawn by Zipf's law."""

    target: str
    api_key: str
    connections: int
    members: int
    zipf_exponent: float

    @property
    def metadata(self) -> Sequence[tuple[str, str]]:
        """The metadata of every call."""
        return (("authorization", f"Bearer {self.api_key}"),)

    def requests(self) -> Requests:
        """A new source of requests."""
        return Requests(Members(self.members, self.zipf_exponent), with_lines=False)

    @asynccontextmanager
    async def channels(self) -> AsyncIterator[list[grpc.aio.Channel]]:
        """Channels with a TCP connection each."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with AsyncExitStack() as stack:
            opening = [grpc.aio.insecure_channel(self.target, options) for _ in range(self.connections)]
            yield [await stack.enter_async_context(channel) for channel in opening]


class Shape(NamedTuple):
    """How accruals are put into messages, `operations` each; bytes both ways, as tills' languages differ.

    `faults` gives the reason of every operation of a reply that was not applied anew.
    """

    method: str
    operations: int
    encode: Callable[[Requests, int], bytes]
    faults: Callable[[bytes], Iterator[str]]

    def messages(self, requests: Requests, operations: int) -> list[bytes]:
        """So many operations; the last message may hold fewer than the others."""
        whole, rest = divmod(operations, self.operations)
        sizes = [self.operations] * whole + [rest] * bool(rest)
        return [self.encode(requests, size) for size in sizes]


def _encode_accrual(requests: Requests, _: int) -> bytes:
    return requests.accrue().SerializeToString()


def _encode_checkout(requests: Requests, _: int) -> bytes:
    return requests.checkout(BASKET_LINES).SerializeToString()


def _encode_many(requests: Requests, operations: int) -> bytes:
    """ProcessBatchRequest; the bytes of a ProcessStreamRequest are the same."""
    accruals = [OperationRequest(accrue=requests.accrue()) for _ in range(operations)]
    return ProcessBatchRequest(operations=accruals).SerializeToString()


def _no_faults(_: bytes) -> Iterator[str]:
    return iter(())


def _faults_of_many(reply: bytes) -> Iterator[str]:
    for result in ProcessBatchResponse.FromString(reply).results:
        if result.replayed:
            yield "replayed"
        elif not result.HasField("operation"):
            yield result.error.message


UNARY: Final = Shape("Accrue", 1, _encode_accrual, _no_faults)
CHECKOUT: Final = Shape("Checkout", 1, _encode_checkout, _no_faults)


def batch_of(operations: int) -> Shape:
    """ProcessBatch of so many operations."""
    return Shape("ProcessBatch", operations, _encode_many, _faults_of_many)


def stream_of(operations: int) -> Shape:
    """ProcessStream with so many operations a message."""
    return Shape("ProcessStream", operations, _encode_many, _faults_of_many)


# --- calls ------------------------------------------------------------------------------------------


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
        calls: list[Any] = [channel.unary_unary(f"/{_SERVICE}/{load.shape.method}") for channel in channels]
        self._callers = [calls[number % len(calls)] for number in range(load.in_flight)]
        self._messages: list[bytes] = []

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        self._messages = self._load.shape.messages(self._requests, operations)

    async def run(self) -> Counter[str]:
        """As `Session.run`."""
        failures: Counter[str] = Counter()
        messages = iter(self._messages)
        await asyncio.gather(*(self._send_each(messages, call, failures) for call in self._callers))
        return failures

    async def _send_each(self, messages: Iterator[bytes], call: Any, failures: Counter[str]) -> None:
        metadata, faults = self._load.till.metadata, self._load.shape.faults
        for message in messages:
            try:
                reply = await call(message, metadata=metadata, timeout=_TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as error:
                failures[_reason(error)] += 1
            else:
                failures.update(faults(reply))


# --- streams ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StreamLoad:
    """A stream on each connection, into which messages go as fast as it takes them."""

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
        method = f"/{_SERVICE}/{load.shape.method}"
        self._streams: list[Any] = [channel.stream_stream(method) for channel in channels]
        self._messages: list[bytes] = []

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        self._messages = self._load.shape.messages(self._requests, operations)

    async def run(self) -> Counter[str]:
        """As `Session.run`."""
        failures: Counter[str] = Counter()
        messages = iter(self._messages)
        await asyncio.gather(*(self._exchange(messages, stream, failures) for stream in self._streams))
        return failures

    async def _exchange(self, messages: Iterator[bytes], stream: Any, failures: Counter[str]) -> None:
        try:
            replies = stream(messages, metadata=self._load.till.metadata, timeout=_TIMEOUT_SECONDS)
            async for reply in replies:
                failures.update(self._load.shape.faults(reply))
        except grpc.aio.AioRpcError as error:
            failures[_reason(error)] += 1


def _reason(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name} {error.details()}"
