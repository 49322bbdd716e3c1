"""Server reflection: what tools ask a server for its contract."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

# Nothing refers to this file: reasons travel as texts, so it is known only if it is imported.
from loyalty.v1 import error_reason_pb2 as _  # noqa: F401
from processor.rpc.servicers import Servicers


class _Symbols:
    """The default pool, which finds methods too: grpcurl and ghz ask for them by name."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


def add_reflection(servicers: Servicers, services: Sequence[str]) -> None:
    """Let the server answer for these services and everything that they speak of."""
    servicer = reflection.aio.ReflectionServicer((*services, reflection.SERVICE_NAME), pool=_Symbols())
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, servicers)
