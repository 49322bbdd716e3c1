"""ProcessStream: order, flow control, and every way in which a stream can end."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from loyalty.v1.transaction_service_pb2 import OperationRequest, ProcessStreamRequest, ProcessStreamResponse
from processor.domain.command import Command
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.transactions import STREAM_OPERATIONS_MAX
from tests.unit.rpc_harness import (
    AUTHORIZATION,
    KEY_ID,
    SERVICE,
    Harness,
    applied,
    failure,
    failure_of,
    refused,
    running,
)
from tests.unit.rpc_requests import accrue_request

if TYPE_CHECKING:
    Stream = grpc.aio.StreamStreamCall[ProcessStreamRequest, ProcessStreamResponse]

pytestmark = pytest.mark.usefixtures("rpc_transport")


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    async with running() as harness:
        yield harness


def open_stream(rpc: Harness) -> "Stream":
    return rpc.stub.ProcessStream(metadata=(AUTHORIZATION,))


def message(*keys: str) -> ProcessStreamRequest:
    return ProcessStreamRequest(operations=[OperationRequest(accrue=accrue_request(key)) for key in keys])


async def read(stream: "Stream") -> ProcessStreamResponse:
    response = await stream.read()
    assert isinstance(response, ProcessStreamResponse)
    return response


def keys(response: ProcessStreamResponse) -> list[str]:
    return [result.idempotency_key for result in response.results]


async def ending(stream: Any) -> Any:
    """The status with which a stream fails, once its results are read."""

    async def read_all() -> None:
        while await stream.read() is not grpc.aio.EOF:
            pass

    return await failure(read_all())


async def test_a_stream_answers_message_by_message(rpc: Harness) -> None:
    stream = open_stream(rpc)
    for number in range(20):
        await stream.write(message(f"a{number}", f"b{number}"))
        response = await read(stream)
        assert keys(response) == [f"a{number}", f"b{number}"]
        assert all(result.HasField("operation") for result in response.results)
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK


async def test_half_close_finishes_what_is_under_way(rpc: Harness) -> None:
    rpc.queue.is_open.clear()
    stream = open_stream(rpc)
    for number in range(5):
        await stream.write(message(f"k{number}"))
    await stream.done_writing()
    await rpc.queue.arrival(5)
    rpc.queue.is_open.set()
    assert sorted([keys(response)[0] async for response in stream]) == [f"k{number}" for number in range(5)]
    assert await stream.code() is grpc.StatusCode.OK


async def test_a_message_that_is_ready_does_not_wait_for_an_earlier_one(rpc: Harness) -> None:
    rpc.queue.is_open.clear()
    stream = open_stream(rpc)
    await stream.write(message("slow"))
    await rpc.queue.arrival(1)
    slow = rpc.queue.is_open
    rpc.queue.is_open = asyncio.Event()
    rpc.queue.is_open.set()
    await stream.write(message("fast"))
    assert keys(await read(stream)) == ["fast"]
    slow.set()
    assert keys(await read(stream)) == ["slow"]


async def test_operations_reach_the_queue_in_the_order_of_the_stream(rpc: Harness) -> None:
    stream = open_stream(rpc)
    sent = [[f"k{number}-{part}" for part in range(3)] for number in range(200)]
    for part in sent:
        await stream.write(message(*part))
    await stream.done_writing()
    assert len([response async for response in stream]) == 200
    assert [command.idempotency_key for command in rpc.queue.submitted] == [
        key for part in sent for key in part
    ]


@pytest.mark.parametrize("size", [1, 300, 1000])
async def test_the_server_stops_reading_while_2000_operations_are_under_way(rpc: Harness, size: int) -> None:
    rpc.queue.is_open.clear()
    stream = open_stream(rpc)
    full = STREAM_OPERATIONS_MAX // size * size
    messages = 2 * STREAM_OPERATIONS_MAX // size

    async def send() -> None:
        for number in range(messages):
            await stream.write(message(*[f"k{number}-{part}" for part in range(size)]))
        await stream.done_writing()

    async with asyncio.TaskGroup() as sending:
        sending.create_task(send())
        await rpc.queue.arrival(full)
        await asyncio.sleep(0.1)
        assert len(rpc.queue.submitted) == full
        rpc.queue.is_open.set()
        answered = sum([len(response.results) async for response in stream])
    assert answered == messages * size


async def test_a_caller_that_does_not_read_is_not_read_from(rpc: Harness) -> None:
    """Results that wait to be written count as under way, so that the server's memory stays bounded."""
    big = "x" * 60_000

    def answer(command: Command) -> Reply:
        return applied(command._replace(store_id=big))

    rpc.queue.answer = answer
    stream = open_stream(rpc)

    async def send() -> None:
        # The stream is cancelled at the end.
        with suppress(asyncio.InvalidStateError):
            for number in range(6 * STREAM_OPERATIONS_MAX // 100):
                await stream.write(message(*[f"k{number}-{part}" for part in range(100)]))

    async with asyncio.TaskGroup() as sending:
        sending.create_task(send())
        await rpc.queue.arrival(STREAM_OPERATIONS_MAX // 2)
        before = -1
        while before < len(rpc.queue.submitted):
            before = len(rpc.queue.submitted)
            await asyncio.sleep(0.1)
        assert before < 4 * STREAM_OPERATIONS_MAX
        stream.cancel()


async def test_invalid_items_and_a_full_queue_are_errors_of_items(rpc: Harness) -> None:
    rpc.queue.answer = lambda _: refused(Outcome.QUEUE_FULL)
    stream = open_stream(rpc)
    request = message("a")
    request.operations.add()
    await stream.write(request)
    response = await read(stream)
    reasons = [failure_of(result.error).reason for result in response.results]
    assert reasons == ["QUEUE_FULL", "INVALID_REQUEST"]
    rpc.queue.answer = applied
    await stream.write(message("b"))
    assert (await read(stream)).results[0].HasField("operation")
    await stream.done_writing()


@pytest.mark.parametrize(
    "data, reason, field",
    [
        (b"\xff\xff", "MALFORMED_REQUEST", ""),
        (b"\x0a\x05\x0a\x03\x0a\x01\xff", "MALFORMED_REQUEST", "operations[0].accrue.idempotency_key"),
        (b"", "INVALID_REQUEST", "operations"),
        (b"\x0a\x00" * 1001, "INVALID_REQUEST", "operations"),
        (bytes(5_000_000), "INVALID_REQUEST", ""),
    ],
    ids=["no message", "wrong UTF-8", "empty", "too many", "too large"],
)
async def test_a_bad_message_ends_the_stream_after_the_results_under_way(
    rpc: Harness, data: bytes, reason: str, field: str
) -> None:
    rpc.queue.is_open.clear()
    raw: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = rpc.channel.stream_stream(
        SERVICE + "ProcessStream"
    )
    stream = raw(metadata=(AUTHORIZATION,))
    await stream.write(message("before").SerializeToString())
    await rpc.queue.arrival(1)
    await stream.write(data)
    rpc.queue.is_open.set()
    first = await stream.read()
    assert isinstance(first, bytes)
    assert keys(ProcessStreamResponse.FromString(first)) == ["before"]
    failed = await ending(stream)
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert [name for name, _ in failed.violations] == [field]


async def test_a_stream_without_credentials_is_refused(rpc: Harness) -> None:
    failed = await ending(rpc.stub.ProcessStream())
    assert failed.reason == "API_KEY_MISSING"


async def test_a_revoked_key_ends_its_streams(rpc: Harness) -> None:
    stream = open_stream(rpc)
    await stream.write(message("a"))
    await read(stream)
    del rpc.keys.known[KEY_ID]
    await stream.write(message("b"))
    failed = await ending(stream)
    assert failed.reason == "API_KEY_INVALID"
    assert [command.idempotency_key for command in rpc.queue.submitted] == ["a"]


async def test_a_broken_stream_loses_nobody_elses_call(
    rpc: Harness, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    rpc.queue.is_open.clear()
    broken, whole = open_stream(rpc), open_stream(rpc)
    for number in range(10):
        await broken.write(message(f"broken{number}"))
    await whole.write(message("whole"))
    await rpc.queue.arrival(11)
    broken.cancel()
    with pytest.raises(asyncio.CancelledError):
        await broken.read()
    rpc.queue.is_open.set()
    assert keys(await read(whole)) == ["whole"]
    await whole.done_writing()
    assert await whole.read() is grpc.aio.EOF
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "call failed" not in capsys.readouterr().out


async def test_a_connection_cut_while_results_are_written_leaves_no_trace(
    rpc: Harness, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = open_stream(rpc)

    async def send() -> None:
        for number in range(1000):
            await stream.write(message(*[f"{number}-{part}" for part in range(20)]))

    sending = asyncio.create_task(send())
    await rpc.queue.arrival(500)
    stream.cancel()
    with pytest.raises((asyncio.CancelledError, asyncio.InvalidStateError)):
        await sending
    async with asyncio.timeout(10), asyncio.TaskGroup():
        other = open_stream(rpc)
        await other.write(message("other"))
        assert keys(await read(other)) == ["other"]
        await other.done_writing()
        assert await other.read() is grpc.aio.EOF
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "call failed" not in capsys.readouterr().out
