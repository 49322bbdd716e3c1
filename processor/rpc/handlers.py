"""The methods of the contract as grpcio serves them, under any transport those that stream."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Never

import grpc

from processor.domain.chain import ApiKey
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.admission import Admission
from processor.rpc.authentication import Metadata
from processor.rpc.endings import OK, Ending, ending_of, or_refusal
from processor.rpc.metrics import CallMetrics
from processor.rpc.observation import Observer
from processor.rpc.status import CODES, Refused
from processor.rpc.unary import UnaryMethod

# Messages are bytes, but the end of a stream is a value of gRPC's own.
Context = grpc.aio.ServicerContext[Any, bytes]
# (caller, messages, deadline); raises Refused to end the stream with that status.
StreamWork = Callable[[ApiKey, "MessageStream", float], Awaitable[None]]

_DONE: Final = Reply(Outcome.APPLIED, b"", replayed=False)


class ContractHandlers(grpc.GenericRpcHandler):
    """Handlers of methods, which are given by their paths."""

    def __init__(self, methods: Mapping[str, "UnaryMethod | StreamMethod"]) -> None:
        self._unary = {path: method for path, method in methods.items() if isinstance(method, UnaryMethod)}
        self._streams: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            path: grpc.stream_stream_rpc_method_handler(_stream_handler(method))
            for path, method in methods.items()
            if isinstance(method, StreamMethod)
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """As grpcio asks for it."""
        method = self._unary.get(handler_call_details.method)
        if method:
            return _UnaryCall(method, handler_call_details.invocation_metadata)
        return self._streams.get(handler_call_details.method)


# --- unary calls ------------------------------------------------------------------------------------


class _UnaryCall:
    """What grpc.RpcMethodHandler is, for one call, whose metadata grpcio would else convert once more.

    On the wire the method is unary; so declared, the message is received when it is asked for.
    """

    request_streaming = True
    response_streaming = False
    request_deserializer = None
    response_serializer = None

    __slots__ = ("_metadata", "_method")

    def __init__(self, method: UnaryMethod, metadata: Metadata) -> None:
        self._method = method
        self._metadata = metadata

    async def stream_unary(self, _requests: object, context: Context) -> bytes:
        """As grpcio calls it."""
        method, metadata = self._method, self._metadata
        span = method.observer.span(metadata)
        receive = partial(_receive, context)
        ending, body = await method.answer(metadata, receive, _deadline(context), span)
        if ending.code != OK:
            await _abort(context, ending)
        if ending.trailing_metadata:
            context.set_trailing_metadata(ending.trailing_metadata)
        return body


async def _receive(context: Context) -> bytes:
    """The message of a unary call. Raises Refused if the caller sends none."""
    data = await context.read()
    if not isinstance(data, bytes):  # grpc.aio.EOF
        raise Refused(Outcome.MALFORMED_REQUEST)
    return data


# --- streams ----------------------------------------------------------------------------------------


class MessageStream:
    """The two directions of a stream, for any number of tasks to write to."""

    def __init__(self, context: Context, admission: Admission, observer: Observer) -> None:
        self._context = context
        self._admission = admission
        self._metrics = observer.metrics
        self._one_writes = asyncio.Lock()

    async def read(self) -> bytes | None:
        """The next message; None when the caller has sent its last. Raises Refused."""
        data = await self._context.read()
        if not isinstance(data, bytes):  # grpc.aio.EOF
            return None
        self._metrics.note_received()
        # A key that is revoked meanwhile ends the stream.
        await self._admission.caller(self._context.invocation_metadata() or ())
        self._admission.check(data)
        return data

    async def write(self, data: bytes) -> None:
        """Send a message; returns when there is room for the next one."""
        async with self._one_writes:
            # A broken connection cannot be written to; the cancellation of the call follows.
            with suppress(grpc.aio.InternalError):
                await self._context.write(data)
                self._metrics.note_sent()


class StreamMethod:
    """One method of the contract, in both directions at once."""

    def __init__(self, work: StreamWork, admission: Admission, observer: Observer) -> None:
        self._work = work
        self._admission = admission
        self._observer = observer
        self.under_way = 0

    async def exchange(self, context: Context) -> Ending:
        """Handle a stream to its end."""
        self.under_way += 1
        try:
            return await self._exchange(context)
        finally:
            self.under_way -= 1

    async def _exchange(self, context: Context) -> Ending:
        metadata = context.invocation_metadata() or ()
        with self._observer.call(metadata, self._observer.span(metadata)) as call:
            reply = await or_refusal(self._converse(call, context), self._observer.method) or _DONE
            call.ending = ending_of(reply)
            return call.ending

    async def _converse(self, call: CallMetrics, context: Context) -> None:
        with self._admission.places:
            caller = await self._admission.caller(context.invocation_metadata() or ())
            call.chain = self._admission.chain_name(caller)
            messages = MessageStream(context, self._admission, self._observer)
            await self._work(caller, messages, _deadline(context))


def _stream_handler(method: StreamMethod) -> Any:
    async def handle(_requests: object, context: Context) -> None:
        ending = await method.exchange(context)
        if ending.code != OK:
            await _abort(context, ending)

    return handle


# --- both -------------------------------------------------------------------------------------------


def _deadline(context: Context) -> float:
    remaining_seconds: float | None = context.time_remaining()
    return math.inf if remaining_seconds is None else asyncio.get_running_loop().time() + remaining_seconds


async def _abort(context: Context, ending: Ending) -> Never:
    await context.abort(CODES[ending.code], ending.message, ending.trailing_metadata)
