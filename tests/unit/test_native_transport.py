"""What the native transport does with calls that it is told of in one breath, and how many it lets come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

pytest.importorskip("pygrpc_native")

from pygrpc_native import EVENT_CALL, EVENT_CANCEL

from loyalty.v1 import transaction_service_pb2
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub
from processor.rpc.admission import Admission
from processor.rpc.authentication import Authenticator
from processor.rpc.native_transport import NativeTransport
from processor.rpc.observation import UNOBSERVED, Observer
from processor.rpc.transactions import TransactionService
from processor.rpc.unary import UnaryMethod
from processor.tracing import NO_SPAN
from tests.unit.rpc_harness import AUTHORIZATION, KEY_ID, Keys, Queue, running
from tests.unit.rpc_requests import accrue_request

PEER = "ipv4:127.0.0.1:1"
NO_DETAILS = ((), PEER, None)
STREAMS_PER_CONNECTION_MAX = 175


class Method:
    """One whose calls all take a task, which waits for ever."""

    observer = SimpleNamespace(method="GetBalance", span=lambda _metadata: NO_SPAN)

    def turned_away(self, _metadata: object) -> bool:
        return False

    def knows(self, _metadata: object) -> None:
        return None

    async def answer(self, *_: object) -> None:
        await asyncio.Event().wait()


async def test_a_call_that_is_cancelled_before_it_begins_leaves_nothing() -> None:
    front: Any = SimpleNamespace(bound_port=1)
    method: Any = Method()
    transport = NativeTransport(front, [method], [], None, Path())  # type: ignore[arg-type] # no streams here
    transport._is_taken.acquire()

    transport._receive([(EVENT_CALL, 7, 0, b"", None, NO_DETAILS), (EVENT_CANCEL, 7, 0, None, None, None)])
    await asyncio.sleep(0.01)

    assert transport._calls == {}
    assert not transport._is_taken.locked()


class Front:
    """Notes by call how it was answered: the status' number."""

    bound_port = 1

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}

    def respond(self, call_id: int, *_: object) -> None:
        self.codes[call_id] = 0

    def fail(self, call_id: int, code: int, *_: object) -> None:
        self.codes[call_id] = code


class Served:
    """Accrue over a native transport without a network, by a caller who was verified before."""

    def __init__(self) -> None:
        self.keys, self.queue, self.front = Keys(), Queue(), Front()
        self.admission = Admission(Authenticator(self.keys), message_bytes_max=1_000, calls_max=10)
        reader: Any = None
        service = TransactionService(self.queue, reader, self.keys, reader)
        descriptor = transaction_service_pb2.DESCRIPTOR.services_by_name["TransactionService"]
        observer = Observer(descriptor.methods_by_name["Accrue"], UNOBSERVED)
        self.method = UnaryMethod(service.Accrue, self.admission, observer)
        front: Any = self.front
        self.transport = NativeTransport(front, [self.method], [], None, Path())  # type: ignore[arg-type]

    def receive(self, *calls: tuple[int, tuple[str, str] | None]) -> None:
        """Hand calls over in one breath, by id, each with its credentials."""
        self._hand_over([self._event(call_id, credentials) for call_id, credentials in calls])

    def cancel(self, call_id: int) -> None:
        self._hand_over([(EVENT_CANCEL, call_id, 0, None, None, None)])

    def _hand_over(self, events: list[Any]) -> None:
        self.transport._is_taken.acquire()
        self.transport._receive(events)

    def _event(self, call_id: int, credentials: tuple[str, str] | None) -> Any:
        data = accrue_request(f"key-{call_id}").SerializeToString()
        metadata = (credentials,) if credentials else ()
        key = credentials[1].encode() if credentials else PEER
        return EVENT_CALL, call_id, 0, data, key, (metadata, PEER, None)

    async def codes(self, count: int) -> dict[int, int]:
        """Wait for so many answers."""
        async with asyncio.timeout(20):
            while len(self.front.codes) < count:  # noqa: ASYNC110 - the transport answers to no coroutine
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        return self.front.codes


@pytest.fixture
async def served() -> Served:
    served = Served()
    await served.admission.caller([AUTHORIZATION])
    return served


async def test_of_calls_that_come_together_each_has_the_caller_of_its_own_credentials(served: Served) -> None:
    wrong = ("authorization", AUTHORIZATION[1][:-1] + "t")

    served.receive(
        (1, AUTHORIZATION), (2, None), (3, AUTHORIZATION), (4, wrong), (5, None), (6, AUTHORIZATION)
    )

    assert await served.codes(6) == {1: 0, 2: 16, 3: 0, 4: 16, 5: 16, 6: 0}
    assert [command.idempotency_key for command in served.queue.submitted] == ["key-1", "key-3", "key-6"]
    assert served.transport._calls == {}
    assert served.admission.places.taken == 0


async def test_a_key_that_is_revoked_is_refused_from_the_next_calls_on(served: Served) -> None:
    served.receive((1, AUTHORIZATION))
    await served.codes(1)
    del served.keys.known[KEY_ID]

    served.receive((2, AUTHORIZATION))

    assert await served.codes(2) == {1: 0, 2: 16}


async def test_a_reply_that_can_not_be_sent_fails_its_own_call_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(call_id: int, *_: object) -> None:
        if call_id == 2:
            raise ZeroDivisionError
        served.front.codes[call_id] = 0

    monkeypatch.setattr(served.front, "respond", respond)

    served.receive((1, AUTHORIZATION), (2, AUTHORIZATION), (3, AUTHORIZATION))

    assert await served.codes(3) == {1: 0, 2: 13, 3: 0}
    assert served.admission.places.taken == 0


async def test_a_call_that_nothing_can_be_sent_to_costs_no_other_one(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(call_id: int, *_: object) -> None:
        if call_id == 1:
            raise ZeroDivisionError
        served.front.codes[call_id] = 0

    monkeypatch.setattr(served.front, "respond", send)
    monkeypatch.setattr(served.front, "fail", send)

    served.receive((1, AUTHORIZATION), (2, AUTHORIZATION), (3, AUTHORIZATION))

    assert await served.codes(2) == {2: 0, 3: 0}
    assert served.transport._calls == {}
    assert served.admission.places.taken == 0


async def test_a_defect_in_noting_calls_costs_neither_replies_nor_places(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(_calls: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(served.method.observer, "finish", finish)

    served.receive((1, AUTHORIZATION), (2, AUTHORIZATION))

    assert await served.codes(2) == {1: 0, 2: 0}
    assert served.transport._calls == {}
    assert served.admission.places.taken == 0


async def test_a_started_call_that_is_cancelled_leaves_nothing(served: Served) -> None:
    served.queue.is_open.clear()
    served.receive((1, AUTHORIZATION), (2, AUTHORIZATION))
    await served.queue.arrival(2)

    served.cancel(1)
    await asyncio.sleep(0.05)
    served.queue.is_open.set()

    assert await served.codes(1) == {2: 0}
    assert served.queue.cancelled == 1
    assert served.transport._calls == {}
    assert served.admission.places.taken == 0


# --- over a network ---------------------------------------------------------------------------------


async def test_calls_of_one_connection_beyond_its_bound_wait_at_the_caller() -> None:
    async with running(transport="native") as rpc:
        rpc.queue.is_open.clear()
        keys = [str(number) for number in range(STREAMS_PER_CONNECTION_MAX + 20)]
        calls = [rpc.stub.Accrue(accrue_request(key), metadata=(AUTHORIZATION,)) for key in keys]
        await rpc.queue.arrival(STREAMS_PER_CONNECTION_MAX)
        async with another_stub(rpc.server.port) as stub:
            calls.append(stub.Accrue(accrue_request("of another"), metadata=(AUTHORIZATION,)))
            await rpc.queue.arrival(STREAMS_PER_CONNECTION_MAX + 1)
            assert rpc.queue.submitted[-1].idempotency_key == "of another"
            assert len(rpc.queue.submitted) == STREAMS_PER_CONNECTION_MAX + 1
            rpc.queue.is_open.set()
            await asyncio.gather(*calls)


@asynccontextmanager
async def another_stub(port: int) -> AsyncIterator[Any]:
    """One with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield TransactionServiceStub(channel)
