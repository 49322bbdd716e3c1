"""A till: real gRPC calls over connections of its own, with every reply as the bytes that came."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from loyalty.v1.operation_pb2 import Operation, OperationResult
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    AdjustRequest,
    Balance,
    CaptureRequest,
    CheckoutRequest,
    GetBalanceRequest,
    GetOperationRequest,
    HoldRequest,
    ListOperationsRequest,
    ListOperationsResponse,
    OperationRequest,
    ProcessBatchRequest,
    ProcessBatchResponse,
    ProcessStreamRequest,
    ProcessStreamResponse,
    QuoteRequest,
    RedeemRequest,
    ReturnRequest,
    ReverseRequest,
    VoidRequest,
)

Sale = AccrueRequest | RedeemRequest | CheckoutRequest
FollowUp = CaptureRequest | VoidRequest | ReverseRequest | ReturnRequest
Write = Sale | HoldRequest | FollowUp | AdjustRequest

SERVICE: Final = "loyalty.v1.TransactionService"
MEMBER_SERVICE: Final = "loyalty.v1.MemberService"
TIMEOUT_SECONDS: Final = 60.0
# The fields of an OperationRequest.
_FIELDS: Final[dict[type[Write], str]] = {
    AccrueRequest: "accrue",
    RedeemRequest: "redeem",
    CheckoutRequest: "checkout",
    HoldRequest: "hold",
    CaptureRequest: "capture",
    VoidRequest: "void",
    ReverseRequest: "reverse",
    ReturnRequest: "return_goods",
    AdjustRequest: "adjust",
}
# A connection for each channel, and no retry that a test does not see.
_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # For grpcio this is the time that a connection has to be made, on a busy machine too.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class Answer(NamedTuple):
    """What became of a call: `body` is the Operation if `reason` is "", else the google.rpc.Status.

    An error that did not come from the service has its code's name for a reason.
    """

    reason: str
    body: bytes
    replayed: bool

    @property
    def operation(self) -> Operation:
        assert not self.reason, self
        return Operation.FromString(self.body)

    @property
    def status(self) -> status_pb2.Status:
        assert self.reason, self
        return status_pb2.Status.FromString(self.body)

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata of the error's ErrorInfo."""
        info = detail(self.status, error_details_pb2.ErrorInfo)
        return dict(info.metadata) if info else {}

    @property
    def violations(self) -> dict[str, str]:
        """The field violations of the error's BadRequest."""
        found = detail(self.status, error_details_pb2.BadRequest)
        return (
            {violation.field: violation.description for violation in found.field_violations} if found else {}
        )

    @property
    def retry_delay_seconds(self) -> float | None:
        found = detail(self.status, error_details_pb2.RetryInfo)
        return found.retry_delay.ToNanoseconds() / 1e9 if found else None


class Till:
    """Calls in the name of one API key; every call takes the next of `connections` connections."""

    def __init__(self, address: str, api_key: str, connections: int = 1) -> None:
        self.channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(connections)]
        self._turn = itertools.cycle(self.channels)
        self._metadata = (("authorization", f"Bearer {api_key}"),)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        for channel in self.channels:
            await channel.close()

    async def write(self, request: Write, timeout: float = TIMEOUT_SECONDS) -> Answer:
        """The call that takes this request."""
        method = type(request).__name__.removesuffix("Request")
        return await self.call(method, request.SerializeToString(), timeout)

    async def quote(self, request: QuoteRequest) -> Answer:
        """What a checkout would give; the body is a QuoteResponse."""
        return await self.call("Quote", request.SerializeToString())

    async def at_desk(self, request: Message) -> Answer:
        """The call of MemberService that takes this request; the body is a Member."""
        method = type(request).__name__.removesuffix("Request")
        return await self.call(method, request.SerializeToString(), service=MEMBER_SERVICE)

    async def call(
        self, method: str, request: bytes, timeout: float = TIMEOUT_SECONDS, service: str = SERVICE
    ) -> Answer:
        """Any unary call, in bytes."""
        call = self.start(method, request, timeout, service)
        try:
            body = await call
        except grpc.aio.AioRpcError as error:
            return _answer_to_error(error)
        trailing = dict(await call.trailing_metadata())
        return Answer("", bytes(body), trailing.get("loyalty-replayed") == "true")

    def start(
        self, method: str, request: bytes, timeout: float = TIMEOUT_SECONDS, service: str = SERVICE
    ) -> Any:
        """The call itself, under way."""
        multicallable: Any = next(self._turn).unary_unary(f"/{service}/{method}")
        return multicallable(request, timeout=timeout, metadata=self._metadata)

    async def batch(
        self, requests: Iterable[Write | OperationRequest], timeout: float = TIMEOUT_SECONDS
    ) -> list[Answer]:
        """One ProcessBatch that is taken on."""
        message = batch_request(requests)
        answer = await self.call("ProcessBatch", message.SerializeToString(), timeout)
        assert not answer.reason, answer.status
        return answers_of(answer.body)

    async def try_batch(self, requests: Sequence[Write], timeout: float) -> list[Answer]:
        """The same; if the call as a whole ends with an error, that is the answer to each of the requests."""
        answer = await self.call("ProcessBatch", batch_request(requests).SerializeToString(), timeout)
        return [answer] * len(requests) if answer.reason else answers_of(answer.body)

    async def stream(
        self, messages: Sequence[Sequence[Write | OperationRequest]], timeout: float = TIMEOUT_SECONDS
    ) -> list[list[tuple[str, Answer]]]:
        """One ProcessStream: all messages at once, then all (key, answer) of each response, as they come."""
        multicallable = next(self._turn).stream_stream(
            f"/{SERVICE}/ProcessStream",
            request_serializer=ProcessStreamRequest.SerializeToString,
            response_deserializer=ProcessStreamResponse.FromString,
        )
        sent = [ProcessStreamRequest(operations=map(operation_request, message)) for message in messages]
        call = multicallable(iter(sent), timeout=timeout, metadata=self._metadata)
        return [
            [(result.idempotency_key, answer_of(result)) for result in response.results]
            async for response in call
        ]

    async def get_operation(self, idempotency_key: str) -> Answer:
        request = GetOperationRequest(idempotency_key=idempotency_key)
        answer = await self.call("GetOperation", request.SerializeToString())
        return answer if answer.reason else answer_of(OperationResult.FromString(answer.body))

    async def balance(self, member_id: int) -> Balance:
        return await self.read_balance(GetBalanceRequest(member_id=member_id))

    async def read_balance(self, request: GetBalanceRequest) -> Balance:
        answer = await self.call("GetBalance", request.SerializeToString())
        assert not answer.reason, answer.status
        return Balance.FromString(answer.body)

    async def operations(self, member_id: int, page_size: int = 0) -> list[tuple[str, Answer]]:
        """Every page of ListOperations: (key, answer), the newest first."""
        found: list[tuple[str, Answer]] = []
        request = ListOperationsRequest(member_id=member_id, page_size=page_size)
        while True:
            answer = await self.call("ListOperations", request.SerializeToString())
            assert not answer.reason, answer.status
            page = ListOperationsResponse.FromString(answer.body)
            found += [(result.idempotency_key, answer_of(result)) for result in page.results]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


def batch_request(requests: Iterable[Write | OperationRequest]) -> ProcessBatchRequest:
    return ProcessBatchRequest(operations=map(operation_request, requests))


def operation_request(request: Write | OperationRequest) -> OperationRequest:
    """The request as an item of a batch or stream, if it is not one already."""
    if isinstance(request, OperationRequest):
        return request
    operation = OperationRequest()
    getattr(operation, _FIELDS[type(request)]).CopyFrom(request)
    return operation


def write_of(operation: OperationRequest) -> Write:
    """Inverse of `operation_request`."""
    field = operation.WhichOneof("request")
    assert field
    request: Write = getattr(operation, field)
    return request


def answers_of(batch_response: bytes) -> list[Answer]:
    return [answer_of(result) for result in ProcessBatchResponse.FromString(batch_response).results]


def answer_of(result: OperationResult) -> Answer:
    if result.WhichOneof("outcome") == "operation":
        return Answer("", result.operation.SerializeToString(), result.replayed)
    return Answer(_reason(result.error), result.error.SerializeToString(), result.replayed)


def detail(status: status_pb2.Status, detail_type: Any) -> Any:
    """The status's detail of that type, or None."""
    for packed in status.details:
        found = detail_type()
        if packed.Unpack(found):
            return found
    return None


def _answer_to_error(error: grpc.aio.AioRpcError) -> Answer:
    trailing = dict(error.trailing_metadata() or ())
    body = trailing.get("grpc-status-details-bin")
    if not isinstance(body, bytes):
        # Told by this side's gRPC, or by the server's, not by the service.
        status = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
        return Answer(error.code().name, status.SerializeToString(), replayed=False)
    status = status_pb2.Status.FromString(body)
    assert status.code == error.code().value[0]
    return Answer(_reason(status), body, trailing.get("loyalty-replayed") == "true")


def _reason(status: status_pb2.Status) -> str:
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info is not None, status
    assert info.domain == "loyalty.v1"
    return str(info.reason)
