"""Ways of sending operations over a connection: one a call, many a batch, many a stream's message."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2

from benchmarks.answers import Answer, answer_of_error, answer_of_result, is_replayed
from benchmarks.requests import idempotency_key, kind
from loyalty.v1.transaction_service_pb2 import (
    DESCRIPTOR,
    AccrueRequest,
    CheckoutRequest,
    OperationRequest,
    ProcessBatchRequest,
    ProcessStreamRequest,
    ProcessStreamResponse,
    ReturnRequest,
)
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub

if TYPE_CHECKING:
    # The generated types know it; at run time it is the same stub.
    from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceAsyncStub

CALL_TIMEOUT_SECONDS: Final = 30
_SERVICE: Final = DESCRIPTOR.services_by_name["TransactionService"].full_name
_METHODS: Final[dict[str, tuple[str, type[Message]]]] = {
    "accrue": ("Accrue", AccrueRequest),
    "checkout": ("Checkout", CheckoutRequest),
    "return_goods": ("Return", ReturnRequest),
}
_ENDED: Final = Answer(code_pb2.UNAVAILABLE, b"", replayed=False)

Metadata = tuple[tuple[str, str], ...]


class Mode(StrEnum):
    """How operations are sent."""

    UNARY = "unary"
    BATCH = "batch"
    STREAM = "stream"


class Connection(Protocol):
    """One connection to the service, for any number of callers at once."""

    async def send(self, requests: Sequence[OperationRequest]) -> Sequence[Answer]:
        """One answer each, in order; a failure of the connection is an answer too.

        No idempotency key may be under way twice on one connection.
        """
        ...


def credentials(api_key: str) -> Metadata:
    """The metadata of every call."""
    return (("authorization", f"Bearer {api_key}"),)


def open_channel(target: str) -> grpc.aio.Channel:
    """A channel with a TCP connection of its own."""
    return grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])


def connect(channel: grpc.aio.Channel, mode: Mode, api_key: str) -> Connection:
    """The channel as a connection of the given mode."""
    if mode is Mode.UNARY:
        return UnaryConnection(channel, credentials(api_key))
    kind = BatchConnection if mode is Mode.BATCH else StreamConnection
    return kind(TransactionServiceStub(channel), credentials(api_key))


class UnaryConnection:
    """One call each, whose answers are kept as the bytes that came over the wire.

    What was done offline can't be sent so: it goes as a batch of one.
    """

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self._metadata = metadata
        self._batches = BatchConnection(TransactionServiceStub(channel), metadata)
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[Message, bytes]] = {
            name: channel.unary_unary(f"/{_SERVICE}/{method}", request_serializer=request.SerializeToString)
            for name, (method, request) in _METHODS.items()
        }

    async def send(self, requests: Sequence[OperationRequest]) -> Sequence[Answer]:
        return await asyncio.gather(*map(self._call, requests))

    async def _call(self, request: OperationRequest) -> Answer:
        if request.offline:
            [answer] = await self._batches.send([request])
            return answer
        name = kind(request)
        call = self._methods[name](
            getattr(request, name), metadata=self._metadata, timeout=CALL_TIMEOUT_SECONDS
        )
        try:
            body = await call
            return Answer(code_pb2.OK, body, is_replayed(await call.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            return answer_of_error(error)


class BatchConnection:
    """ProcessBatch."""

    def __init__(self, stub: "TransactionServiceAsyncStub", metadata: Metadata) -> None:
        self._stub = stub
        self._metadata = metadata

    async def send(self, requests: Sequence[OperationRequest]) -> Sequence[Answer]:
        batch = ProcessBatchRequest(operations=requests)
        try:
            response = await self._stub.ProcessBatch(
                batch, metadata=self._metadata, timeout=CALL_TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            return [answer_of_error(error)] * len(requests)
        return [answer_of_result(result) for result in response.results]


class StreamConnection:
    """One ProcessStream, opened with the first request and again after it broke."""

    def __init__(self, stub: "TransactionServiceAsyncStub", metadata: Metadata) -> None:
        self._stub = stub
        self._metadata = metadata
        self._reader: asyncio.Task[None] | None = None
        self._outgoing: asyncio.Queue[ProcessStreamRequest] = asyncio.Queue()
        self._awaited: dict[str, asyncio.Future[Answer]] = {}

    async def send(self, requests: Sequence[OperationRequest]) -> Sequence[Answer]:
        if self._reader is None:
            self._outgoing = asyncio.Queue()
            call = self._stub.ProcessStream(_each(self._outgoing), metadata=self._metadata)
            self._reader = asyncio.create_task(self._read(call))
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Answer]] = [loop.create_future() for _ in requests]
        self._awaited.update(zip(map(idempotency_key, requests), answers, strict=True))
        self._outgoing.put_nowait(ProcessStreamRequest(operations=requests))
        return await asyncio.gather(*answers)

    async def _read(self, responses: AsyncIterable[ProcessStreamResponse]) -> None:
        """Hand out answers until the stream ends; its end answers whatever is awaited then."""
        end = _ENDED
        try:
            async for response in responses:
                for result in response.results:
                    self._awaited.pop(result.idempotency_key).set_result(answer_of_result(result))
        except grpc.aio.AioRpcError as error:
            end = answer_of_error(error)
        unanswered, self._awaited, self._reader = self._awaited, {}, None
        for answer in unanswered.values():
            answer.set_result(end)


async def _each(queue: asyncio.Queue[ProcessStreamRequest]) -> AsyncIterator[ProcessStreamRequest]:
    while True:
        yield await queue.get()
