"""Who sends the load: connections, API keys, and the members whose receipts they are."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Final

import grpc

from benchmarks.members import Members
from benchmarks.requests import Requests
from loyalty.v1.transaction_service_pb2 import DESCRIPTOR

TIMEOUT_SECONDS: Final = 60
_SERVICE: Final = DESCRIPTOR.services_by_name["TransactionService"].full_name

Metadata = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Till:
    """`connections` TCP connections, for members drawn by Zipf's law; calls have the API keys in turn."""

    target: str
    api_keys: tuple[str, ...]
    connections: int
    members: int
    zipf_exponent: float

    def metadata(self) -> "cycle[Metadata]":
        """The metadata of one call after another."""
        return cycle([(("authorization", f"Bearer {key}"),) for key in self.api_keys])

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


def method_path(method: str) -> str:
    """As HTTP/2 names a method of the TransactionService."""
    return f"/{_SERVICE}/{method}"


def reason(error: grpc.aio.AioRpcError) -> str:
    """Why a call failed, beginning with the name of its status."""
    return f"{error.code().name} {error.details()}"
