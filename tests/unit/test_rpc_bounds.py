"""How much is taken on at a time: calls, reads of a chain, and the messages of strangers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client import REGISTRY

from loyalty.v1.transaction_service_pb2 import GetBalanceRequest, GetOperationRequest, ListOperationsRequest
from processor.domain.account import Account
from processor.domain.member import Holder
from processor.labels import UNKNOWN
from tests.unit.rpc_harness import (
    AUTHORIZATION,
    MESSAGE_BYTES_MAX,
    SERVICE,
    Failure,
    Harness,
    Reader,
    failure,
    running,
)
from tests.unit.rpc_requests import accrue_request, quote_request

pytestmark = pytest.mark.usefixtures("rpc_transport")

T = TypeVar("T")

AUTH = (AUTHORIZATION,)
READS: dict[str, Any] = {
    "GetBalance": GetBalanceRequest(member_id=1),
    "GetOperation": GetOperationRequest(idempotency_key="k-1"),
    "ListOperations": ListOperationsRequest(member_id=1),
    "Quote": quote_request(),
}


class SlowReader(Reader):
    """Answers nobody before it `is_open`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = asyncio.Event()
        self.waiting = 0

    async def resolve(self, chain_id: int, member_id: int, card: str) -> int | None:
        return await self._wait(super().resolve(chain_id, member_id, card))

    async def holder(self, chain_id: int, member_id: int, card: str) -> Holder | None:
        return await self._wait(super().holder(chain_id, member_id, card))

    async def recorded(self, chain_id: int, idempotency_key: str) -> Any:
        return await self._wait(super().recorded(chain_id, idempotency_key))

    async def _wait(self, answer: Awaitable[T]) -> T:
        self.waiting += 1
        try:
            found = await answer
            await self.is_open.wait()
        finally:
            self.waiting -= 1
        return found


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    async with running() as harness:
        yield harness


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def assert_told_to_come_again(failed: Failure) -> None:
    assert (failed.code.name, failed.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
    assert failed.retry_ms


async def test_calls_beyond_the_bound_are_refused_until_there_is_room_again() -> None:
    async with running(calls_max=10) as rpc:
        rpc.queue.is_open.clear()
        calls = [rpc.stub.Accrue(accrue_request(str(number)), metadata=AUTH) for number in range(10)]
        await rpc.queue.arrival(10)
        refused_before = refused_strangers()
        assert_told_to_come_again(await failure(rpc.stub.Accrue(accrue_request(), metadata=AUTH)))
        assert rpc.server.places.taken == 10
        await until(lambda: refused_strangers() == refused_before + 1)
        calls.pop().cancel()
        # The next call may overtake it.
        await until(lambda: rpc.queue.cancelled == 1)
        calls.append(rpc.stub.Accrue(accrue_request("room"), metadata=AUTH))
        await rpc.queue.arrival(11)
        rpc.queue.is_open.set()
        assert (await calls[-1]).idempotency_key == "room"
        for call in calls:
            await call
        assert (await rpc.stub.Accrue(accrue_request("k"), metadata=AUTH)).idempotency_key == "k"


def refused_strangers() -> float:
    """Calls that were refused for want of room before anybody looked whose they are."""
    labels = {"chain": UNKNOWN, "method": "Accrue", "reason": "QUEUE_FULL"}
    return REGISTRY.get_sample_value("loyalty_refusals_total", labels) or 0


async def test_grpc_itself_bounds_what_python_does_not_see() -> None:
    """Streams of other services that wait for ever are calls too, up to one and a half times the bound."""
    async with running(calls_max=10) as rpc:
        watches = [await opened_watch(rpc) for _ in range(20)]
        assert [watch is None for watch in watches] == [False] * 15 + [True] * 5
        for watch in watches[:15]:
            watch.cancel()
        async with asyncio.timeout(20):
            while not await opened_watch(rpc):
                pass


async def opened_watch(rpc: Harness) -> Any:
    """A stream of health that has answered; None if it was refused."""
    watch = HealthStub(rpc.channel).Watch(HealthCheckRequest())
    with suppress(grpc.aio.AioRpcError):
        await watch.read()
        return watch
    return None


@pytest.mark.parametrize("method", READS)
async def test_reads_beyond_the_bound_are_refused_and_writes_are_not(method: str) -> None:
    reader = SlowReader()
    reader.known_account = Account(1, 0, 0, b"")
    async with running(reader=reader, reads_max=3) as rpc:
        request = READS[method]
        call = getattr(rpc.stub, method)
        waiting = [asyncio.ensure_future(call(request, metadata=AUTH)) for _ in range(3)]
        await until(lambda: reader.waiting == 3)
        assert_told_to_come_again(await failure(call(request, metadata=AUTH)))
        await rpc.stub.Accrue(accrue_request(), metadata=AUTH)
        reader.is_open.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert "RESOURCE_EXHAUSTED" not in str(results)


async def test_reads_whose_deadline_has_passed_make_room() -> None:
    reader = SlowReader()
    async with running(reader=reader, reads_max=3) as rpc:
        request = READS["GetBalance"]
        for _ in range(3):
            calls = [failure_code(rpc.stub.GetBalance(request, metadata=AUTH, timeout=0.3)) for _ in range(3)]
            assert await asyncio.gather(*calls) == ["DEADLINE_EXCEEDED"] * 3
            await until(lambda: reader.waiting == 0)
        assert reader.calls == 9


async def failure_code(call: Any) -> str:
    return str((await call.code()).name)


@pytest.mark.parametrize("method", ["Accrue", "ProcessBatch", "GetBalance"])
async def test_the_message_of_a_stranger_is_not_received(rpc: Harness, method: str) -> None:
    raw: Any = rpc.channel.unary_unary(SERVICE + method)
    for size in (MESSAGE_BYTES_MAX, 4 * MESSAGE_BYTES_MAX):
        assert (await failure(raw(bytes(size)))).reason == "API_KEY_MISSING"
