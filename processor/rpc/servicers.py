"""Services that others have written for grpc.aio: health, reflection and channelz."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from inspect import isasyncgen
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from processor.defects import report_defect
from processor.rpc.core_call import CoreCall
from processor.rpc.endings import OK, Ending

_DONE: Final = Ending(OK, "OK", "", ())
_MALFORMED: Final = grpc.StatusCode.INVALID_ARGUMENT


class Servicers:
    """What the generated `add_..._to_server(servicer, server)` take for a server."""

    def __init__(self) -> None:
        self.methods: dict[str, ServicerMethod] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """They are those of `add_registered_method_handlers` once more."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]
    ) -> None:
        """Serve these, by their names."""
        for name, handler in handlers.items():
            self.methods[f"/{service}/{name}"] = ServicerMethod(handler)


class ServicerMethod:
    """A method of such a service, whatever the caller's credentials."""

    def __init__(self, handler: "grpc.RpcMethodHandler[Any, Any]") -> None:
        self._handler: Any = handler
        # Of the four ways to be called, the handler has the one of its kind.
        self._behavior: Any = (
            handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        )

    async def exchange(self, call: CoreCall) -> Ending:
        """Handle a call to its end."""
        context = Context(call, self._handler)
        try:
            await self._handle(call, context)
        except _AbortedError:
            pass
        except Exception as defect:  # noqa: BLE001 - the caller is told so
            # Generated code says by a code and an error that it has no such method.
            if context.ending.code == OK:
                report_defect("call failed", defect, method=call.path)
                context.set_code(grpc.StatusCode.UNKNOWN)
        return context.ending

    async def _handle(self, call: CoreCall, context: "Context") -> None:
        if self._handler.request_streaming:
            async with aclosing(self._requests(call, context)) as requests:
                await self._answer(self._behavior(requests, context), context)
        else:
            await self._answer(self._behavior(await self._request(call, context), context), context)

    async def _answer(self, answers: Any, context: "Context") -> None:
        """Send what the handler gives: one answer after the other, or a single one, unless it has sent it."""
        if isasyncgen(answers):
            async with aclosing(answers):
                async for answer in answers:
                    await context.write(answer)
            return
        answer = await answers
        if not self._handler.response_streaming and context.ending.code == OK:
            await context.write(answer)

    async def _requests(self, call: CoreCall, context: "Context") -> AsyncGenerator[Any]:
        while (data := await call.read()) is not None:
            yield await self._decode(data, context)

    async def _request(self, call: CoreCall, context: "Context") -> Any:
        data = await call.read()
        if data is None:
            await context.abort(_MALFORMED, "the request has no message")
        return await self._decode(data, context)

    async def _decode(self, data: bytes, context: "Context") -> Any:
        try:
            return self._handler.request_deserializer(data)
        except DecodeError:
            await context.abort(_MALFORMED, "the request can't be read")


class Context:
    """As much of grpc.aio.ServicerContext as they make use of."""

    def __init__(self, call: CoreCall, handler: Any) -> None:
        self._call = call
        self._handler = handler
        self._is_sending = False
        self._next: bytes | None = None
        self.ending = _DONE

    async def write(self, message: Any) -> None:
        """Send a message.

        Who asks for messages waits until there is room for the next one. Who is told of states is not waited
        for, since the health servicer locks all others out meanwhile: only the latest state is kept.
        """
        data = self._handler.response_serializer(message)
        if self._handler.request_streaming:
            await self._call.write(data)
        elif self._is_sending:
            self._next = data
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        self._is_sending = True
        self._call.send(data, self._note_sent)

    def _note_sent(self, _: bool) -> None:  # noqa: FBT001 - a callback's only argument
        self._is_sending = False
        if self._next is not None:
            data, self._next = self._next, None
            self._send(data)

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call, and whatever handles it."""
        self.set_code(code)
        self.set_details(details)
        raise _AbortedError

    def set_code(self, code: grpc.StatusCode) -> None:
        """What the call ends with."""
        self.ending = self.ending._replace(code=code.value[0], outcome=code.name)

    def set_details(self, details: str) -> None:
        """The message of the status."""
        self.ending = self.ending._replace(message=details)


class _AbortedError(Exception):
    """The call has its status."""
