"""gRPC handlers around plain methods: credentials, sizes, errors and metrics are the same for all of them."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple, Never, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.rpc import status_pb2

from processor.defects import report_defect
from processor.domain.chain import ApiKey
from processor.domain.failures import StorageUnavailable
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.authentication import Authenticator
from processor.rpc.call_log import CallLog
from processor.rpc.decode import check_size
from processor.rpc.metrics import CallMetrics, MethodMetrics
from processor.rpc.places import Places
from processor.rpc.status import CODES, Refused
from processor.tracing import NO_TRACING, Tracing

T = TypeVar("T")
# Messages are bytes, but the end of a stream is a value of gRPC's own.
Context = grpc.aio.ServicerContext[Any, bytes]
# (caller, request, deadline) -> reply; the deadline is in the event loop's seconds, or infinite.
UnaryMethod = Callable[[ApiKey, bytes, float], Awaitable[Reply]]
# (caller, messages, deadline); raises Refused to end the stream with that status.
StreamMethod = Callable[[ApiKey, "MessageStream", float], Awaitable[None]]

_REPLAYED: Final = (("loyalty-replayed", "true"),)
_STATUS_DETAILS: Final = "grpc-status-details-bin"


class Admission:
    """What a request must have before it is looked at, and how many calls may be under way at a time."""

    def __init__(self, authenticator: Authenticator, *, message_bytes_max: int, calls_max: int) -> None:
        self._authenticator = authenticator
        self._message_bytes_max = message_bytes_max
        self.places = Places(calls_max)

    async def caller(self, context: Context) -> ApiKey:
        """Who calls. Raises Refused."""
        return await self._authenticator.caller(context.invocation_metadata() or ())

    async def admit(self, context: Context, call: CallMetrics) -> ApiKey:
        """The same, noted in the call's metrics."""
        caller = await self.caller(context)
        call.chain = self._authenticator.chain_name(caller.chain_id)
        return caller

    def check(self, data: bytes) -> None:
        """Raises Refused."""
        check_size(data, self._message_bytes_max)


class MessageStream:
    """The two directions of a stream, for any number of tasks to write to."""

    def __init__(self, context: Context, admission: Admission, metrics: MethodMetrics) -> None:
        self._context = context
        self._admission = admission
        self._metrics = metrics
        self._one_writes = asyncio.Lock()

    async def read(self) -> bytes | None:
        """The next message; None when the caller has sent its last. Raises Refused."""
        data = await self._context.read()
        if not isinstance(data, bytes):  # grpc.aio.EOF
            return None
        self._metrics.received.inc()
        # A key that is revoked meanwhile ends the stream.
        await self._admission.caller(self._context)
        self._admission.check(data)
        return data

    async def write(self, data: bytes) -> None:
        """Send a message; returns when there is room for the next one."""
        async with self._one_writes:
            # A broken connection cannot be written to; the cancellation of the call follows.
            with suppress(grpc.aio.InternalError):
                await self._context.write(data)
                self._metrics.sent.inc()


class Observation(NamedTuple):
    """How calls are traced, and which of them are logged."""

    tracing: Tracing
    logged_calls: str


UNOBSERVED: Final = Observation(NO_TRACING, "none")


def service_handlers(
    descriptor: ServiceDescriptor, service: object, admission: Admission, observation: Observation
) -> grpc.GenericRpcHandler:
    """Handlers of every method of a service; `service` has them under their names in the contract."""
    handlers = {
        method.name: _handler(method, getattr(service, method.name), admission, observation)
        for method in descriptor.methods
    }
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


def _handler(
    descriptor: MethodDescriptor, method: Any, admission: Admission, observation: Observation
) -> "grpc.RpcMethodHandler[bytes, bytes]":
    grpc_type = "bidi_stream" if descriptor.client_streaming else "unary"
    metrics = MethodMetrics(grpc_type, descriptor.containing_service.full_name, descriptor.name)
    observer = Observer(metrics, CallLog(descriptor, observation.logged_calls), observation.tracing)
    if descriptor.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_stream_handler(method, admission, metrics, observer))
    # On the wire it is unary; so declared, the message is received when it is asked for.
    return grpc.stream_unary_rpc_method_handler(_unary_handler(method, admission, metrics, observer))


class Observer:
    """Counts, times, traces and logs the calls of one method."""

    def __init__(self, metrics: MethodMetrics, call_log: CallLog, tracing: Tracing) -> None:
        self._metrics = metrics
        self._log = call_log
        self._tracing = tracing

    @contextmanager
    def call(self, context: Context) -> Iterator[CallMetrics]:
        """Watch the call that is handled inside of it."""
        metadata = context.invocation_metadata() or ()
        with self._tracing.call(self._metrics.method, metadata) as span, self._metrics.call() as call:
            try:
                yield call
            finally:
                outcome = call.outcome
                span.describe({"loyalty.chain": call.chain or "", "loyalty.outcome": outcome})
                self._log.note(
                    outcome=outcome,
                    chain=call.chain,
                    data=call.request,
                    metadata=metadata,
                    seconds=call.seconds(),
                )


def _unary_handler(
    method: UnaryMethod, admission: Admission, metrics: MethodMetrics, observer: Observer
) -> Any:
    async def reply_to(context: Context, call: CallMetrics) -> Reply:
        with admission.places.taken():
            caller = await admission.admit(context, call)
            # Not before the key is known: a stranger's message takes no memory.
            call.request = await _receive(context)
            metrics.received.inc()
            admission.check(call.request)
            return await method(caller, call.request, _deadline(context))

    async def handle(_requests: object, context: Context) -> bytes:
        with observer.call(context) as call:
            reply = await _or_refusal(reply_to(context, call), metrics.method)
            if reply.outcome is not Outcome.APPLIED:
                await _abort(context, call, reply)
            if reply.replayed:
                context.set_trailing_metadata(_REPLAYED)
            metrics.sent.inc()
            call.end(grpc.StatusCode.OK, reply.outcome.name)
            return reply.body

    return handle


def _stream_handler(
    method: StreamMethod, admission: Admission, metrics: MethodMetrics, observer: Observer
) -> Any:
    async def exchange(context: Context, call: CallMetrics) -> None:
        with admission.places.taken():
            caller = await admission.admit(context, call)
            await method(caller, MessageStream(context, admission, metrics), _deadline(context))

    async def handle(_requests: object, context: Context) -> None:
        with observer.call(context) as call:
            refusal = await _or_refusal(exchange(context, call), metrics.method)
            if refusal:
                await _abort(context, call, refusal)
            call.end(grpc.StatusCode.OK, Outcome.APPLIED.name)

    return handle


async def _receive(context: Context) -> bytes:
    """The message of a unary call. Raises Refused if the caller sends none."""
    data = await context.read()
    if not isinstance(data, bytes):  # grpc.aio.EOF
        raise Refused(Outcome.MALFORMED_REQUEST)
    return data


async def _or_refusal(work: Awaitable[T], method: str) -> T | Reply:
    """The result of `work`, or what the till is told instead. Cancellation passes through."""
    try:
        return await work
    except Refused as refused:
        return refused.reply
    except StorageUnavailable:
        return Refused(Outcome.STORAGE_UNAVAILABLE).reply
    except Exception as defect:  # noqa: BLE001 - the till is told so, and never Python's text
        request_id = report_defect("call failed", defect, method=method)
        return Refused(Outcome.INTERNAL_ERROR, {"request_id": request_id}).reply


def _deadline(context: Context) -> float:
    remaining_seconds: float | None = context.time_remaining()
    return math.inf if remaining_seconds is None else asyncio.get_running_loop().time() + remaining_seconds


async def _abort(context: Context, call: CallMetrics, reply: Reply) -> Never:
    """End a call with the status in the reply, whose bytes are sent as they are."""
    status = status_pb2.Status.FromString(reply.body)
    call.end(CODES[status.code], reply.outcome.name)
    trailing_metadata = ((_STATUS_DETAILS, reply.body), *(_REPLAYED if reply.replayed else ()))
    await context.abort(CODES[status.code], status.message, trailing_metadata)
