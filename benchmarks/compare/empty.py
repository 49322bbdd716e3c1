"""An empty grpc.aio server: what Python's gRPC costs before a service does anything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc


class EmptyHandlers:
    """Every unary call is answered with nothing."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[grpc.GenericRpcHandler]:
        """As `Handlers.open`."""
        yield _EveryMethod()


class _EveryMethod(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        self._handler: Any = grpc.unary_unary_rpc_method_handler(_answer_nothing)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002 - gRPC's signature
        return self._handler


async def _answer_nothing(_request: bytes, _context: object) -> bytes:
    return b""
