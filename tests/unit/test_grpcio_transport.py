"""What the transport by gRPC's core does with calls that stay away, come wrong, or are too many."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc import core_queue, grpcio_transport
from processor.rpc.observation import Observer
from tests.raw_http2 import (
    DATA,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    WINDOW_UPDATE,
    frame,
    read_frame,
    settings,
)
from tests.raw_http2 import call as call_frames
from tests.unit.rpc_harness import AUTHORIZATION, SERVICE, Harness, failure, running
from tests.unit.rpc_requests import accrue_request

AUTH = (AUTHORIZATION,)
HEALTH = "/grpc.health.v1.Health/"
# By the server, or as its connection is closed.
ENDED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    """A server that knows the caller already."""
    async with running(transport="grpcio") as harness:
        await harness.stub.Accrue(accrue_request("first"), metadata=AUTH)
        yield harness


async def taken(rpc: Harness, places: int) -> None:
    """Wait until so many places are taken."""
    async with asyncio.timeout(20):
        while rpc.server.places.taken != places:  # noqa: ASYNC110 - places answer to no coroutine
            await asyncio.sleep(0.001)


def without_message(rpc: Harness) -> Any:
    """A call of Accrue whose message is still to come."""
    return rpc.channel.stream_unary(f"{SERVICE}Accrue")(metadata=AUTH)


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


# --- messages ---------------------------------------------------------------------------------------


async def test_a_call_whose_message_is_on_its_way_has_a_place(rpc: Harness) -> None:
    call = without_message(rpc)
    await taken(rpc, 1)

    await call.write(accrue_request("late").SerializeToString())

    assert await call
    assert rpc.server.places.taken == 0
    assert [command.idempotency_key for command in rpc.queue.submitted] == ["first", "late"]


async def test_a_deadline_passes_while_the_message_is_awaited(rpc: Harness) -> None:
    call: Any = rpc.channel.stream_unary(f"{SERVICE}Accrue")
    assert await code_of(call(metadata=AUTH, timeout=0.2)) is grpc.StatusCode.DEADLINE_EXCEEDED
    await taken(rpc, 0)


async def test_a_caller_who_goes_before_the_message_leaves_no_place_taken(rpc: Harness) -> None:
    call = without_message(rpc)
    await taken(rpc, 1)

    call.cancel()

    await taken(rpc, 0)
    assert len(rpc.queue.submitted) == 1


async def test_a_known_callers_call_without_a_message_is_malformed(rpc: Harness) -> None:
    call = without_message(rpc)
    await call.done_writing()

    failed = await failure(call)

    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")
    assert rpc.server.places.taken == 0


async def test_messages_beyond_all_places_are_not_waited_for() -> None:
    async with running(transport="grpcio", calls_max=4) as rpc:
        await rpc.stub.Accrue(accrue_request("first"), metadata=AUTH)
        waiting = [without_message(rpc) for _ in range(4)]
        await taken(rpc, 4)

        failed = await failure(without_message(rpc))

        assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        for call in waiting:
            call.cancel()
        await taken(rpc, 0)


# --- calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [f"{SERVICE}Nothing", "/no.such.Service/Accrue", "/ä"])
async def test_a_method_that_is_not_there_is_unimplemented(rpc: Harness, path: str) -> None:
    call: Any = rpc.channel.unary_unary(path)
    assert await code_of(call(b"", metadata=AUTH)) is grpc.StatusCode.UNIMPLEMENTED


async def test_calls_that_need_no_place_are_bounded_too() -> None:
    async with running(transport="grpcio", calls_max=2) as rpc:
        stub = health_pb2_grpc.HealthStub(rpc.channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(3)]
        for watch in watches:
            await watch.read()

        counted = turned_away("Accrue")
        for call in (stub.Check(health_pb2.HealthCheckRequest()), rpc.call("Accrue", b"")):
            failed = await failure(call)
            assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
            assert failed.retry_ms
        assert turned_away("Accrue") == counted + 1
        watches[0].cancel()
        async with asyncio.timeout(20):
            while not await is_healthy(stub):  # noqa: ASYNC110 - the server hears of it in its own time
                await asyncio.sleep(0.001)


def turned_away(method: str) -> float:
    """How many calls of a method have been, so far."""
    labels = {"chain": "unknown", "method": method, "reason": "QUEUE_FULL"}
    return REGISTRY.get_sample_value("loyalty_refusals_total", labels) or 0


async def is_healthy(stub: Any) -> bool:
    try:
        await stub.Check(health_pb2.HealthCheckRequest())
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_a_defect_leaves_nobody_waiting(rpc: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def span(_self: object, _metadata: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Observer, "span", span)

    failed = await failure(rpc.stub.Accrue(accrue_request("second"), metadata=AUTH))

    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")


async def test_a_defect_in_a_task_leaves_nobody_waiting(
    rpc: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Observer, "call", call)

    failed = await failure(rpc.call("GetBalance", b""))

    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")


async def test_a_reply_that_can_not_be_sent_leaves_nobody_waiting(rpc: Harness) -> None:
    nonsense: Any = "no bytes"
    rpc.queue.answer = lambda _: Reply(Outcome.APPLIED, nonsense, replayed=False)

    failed = await failure(rpc.stub.Accrue(accrue_request("second"), metadata=AUTH))

    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
    assert rpc.server.places.taken == 0


async def test_calls_beyond_one_pass_are_seen_to_in_the_next(
    rpc: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_queue, "_SECONDS_A_PASS", -1.0)

    calls = [rpc.stub.Accrue(accrue_request(f"key-{number}"), metadata=AUTH) for number in range(50)]

    assert len(await asyncio.gather(*calls)) == 50


async def test_an_event_that_is_not_seen_to_is_told_and_costs_no_other_one(
    rpc: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    monkeypatch.setattr(core_queue, "report_defect", lambda _, defect: told.append(defect))
    monkeypatch.setattr(grpcio_transport, "CoreCall", None)
    lost: Any = rpc.channel.unary_unary(f"{SERVICE}Accrue")
    with pytest.raises(grpc.aio.AioRpcError):
        await lost(b"", metadata=AUTH, timeout=0.5)
    monkeypatch.undo()

    assert [type(defect) for defect in told] == [TypeError]
    operation = await rpc.stub.Accrue(accrue_request("next"), metadata=AUTH)
    assert operation.idempotency_key == "next"


# --- the end ----------------------------------------------------------------------------------------


async def test_a_stop_with_less_patience_ends_what_the_first_one_waits_for(rpc: Harness) -> None:
    rpc.queue.is_open.clear()
    call = rpc.stub.Accrue(accrue_request("waits"), metadata=AUTH)
    await rpc.queue.arrival(2)
    stream = rpc.stub.ProcessStream(metadata=AUTH)
    await taken(rpc, 2)
    stopping = asyncio.create_task(rpc.server.stop(60))
    await asyncio.sleep(0.05)

    async with asyncio.timeout(20):
        await rpc.server.stop(0)
        await stopping

    assert await call.code() in ENDED
    assert await stream.code() in ENDED
    assert rpc.server.places.taken == 0
    async with asyncio.timeout(20):
        while rpc.queue.cancelled != 1:  # noqa: ASYNC110 - the queue looks for it now and then
            await asyncio.sleep(0.001)


async def test_a_stop_waits_for_calls_that_had_come_but_not_begun(rpc: Harness) -> None:
    """What is there when the last call under way ends is not the end: others may have come meanwhile."""
    transport: Any = rpc.server._transport
    rpc.queue.is_open.clear()
    first = rpc.stub.Accrue(accrue_request("waits"), metadata=AUTH)
    await rpc.queue.arrival(2)
    stopping = asyncio.create_task(rpc.server.stop(60))
    await asyncio.sleep(0.05)

    first.cancel()
    transport._calls_under_way += 1  # as of a call whose request is still to be read
    await taken(rpc, 0)
    transport._look_whether_idle()
    assert not transport._is_idle.is_set()
    transport._calls_under_way -= 1
    transport._look_whether_idle()

    async with asyncio.timeout(20):
        await stopping
    assert transport._is_idle.is_set()


# --- services that others have written --------------------------------------------------------------


async def test_health_of_what_is_not_there_is_not_found(rpc: Harness) -> None:
    call = health_pb2_grpc.HealthStub(rpc.channel).Check(health_pb2.HealthCheckRequest(service="none"))
    assert await code_of(call) is grpc.StatusCode.NOT_FOUND


async def test_a_watcher_who_reads_nothing_holds_up_nobody(rpc: Harness) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rpc.server.port)
    writer.write(PREFACE + settings({INITIAL_WINDOW_SIZE: 0}) + call_frames(1, f"{HEALTH}Watch", b"", ""))
    while (await read_frame(reader)).kind != HEADERS:
        pass

    async with asyncio.timeout(20):
        for is_serving in (True, False, True):
            await rpc.server.set_serving(is_serving)
            await asyncio.sleep(0.05)  # so that the watcher is told of each

    assert await is_healthy(health_pb2_grpc.HealthStub(rpc.channel))
    # What it reads at last is how things are, not all that they were.
    writer.write(frame(WINDOW_UPDATE, 0, 1, (1_000).to_bytes(4)))
    states = [await read_state(reader) for _ in range(2)]
    assert states == [health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING]
    writer.close()


async def read_state(reader: asyncio.StreamReader) -> int:
    """The next answer of a watch, which is a message in a frame of its own."""
    while (read := await read_frame(reader)).kind != DATA:
        pass
    return int(health_pb2.HealthCheckResponse.FromString(read.payload[5:]).status)


async def test_a_method_that_a_servicer_lacks_is_unimplemented(rpc: Harness) -> None:
    call = health_pb2_grpc.HealthStub(rpc.channel).List(health_pb2.HealthListRequest())
    assert await code_of(call) is grpc.StatusCode.UNIMPLEMENTED


async def test_a_server_that_channelz_does_not_know_is_not_found(rpc: Harness) -> None:
    request = channelz_pb2.GetServerRequest(server_id=2**40)
    call = channelz_pb2_grpc.ChannelzStub(rpc.channel).GetServer(request)
    assert await code_of(call) is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_a_request_that_can_not_be_read_is_the_callers_mistake(rpc: Harness, method: str) -> None:
    call: Any = rpc.channel.unary_stream(f"{HEALTH}{method}")
    assert await code_of(call(b"\xff").read()) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_without_a_message_is_the_callers_mistake(rpc: Harness) -> None:
    call: Any = rpc.channel.stream_unary(f"{HEALTH}Check")()
    await call.done_writing()
    assert await code_of(call) is grpc.StatusCode.INVALID_ARGUMENT
