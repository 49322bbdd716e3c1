"""Clients that send nonsense, read nothing or come by thousands: the others are served, in bounded memory."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import psutil
import pytest

from tests.chains import Chain, new_chain
from tests.client import Till, batch_request
from tests.postgres import Server as Postgres
from tests.postgres import run
from tests.raw_http2 import (
    CONTINUATION,
    DATA,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    frame,
    headers,
    read_frame,
    settings,
)
from tests.requests import accrue
from tests.server import Server, eventually, eventually_true, serving

MEMBERS: Final = range(1, 101)
MEGABYTE: Final = 1 << 20
# What a client may send at first, RFC 9113, 6.9.2.
CONNECTION_WINDOW_BYTES: Final = 65_535
SERVICE: Final = "/loyalty.v1.TransactionService/"
# Of 100 operations each: 60 MB of requests.
MESSAGES_MAX: Final = 4_000
STUCK_SECONDS: Final = 3
STREAM_SECONDS: Final = 20
OPENED_AT_A_TIME: Final = 100


@pytest.fixture(scope="module")
def dsn(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def server(dsn: str, transport: str) -> Iterator[Server]:
    with serving(
        dsn,
        workers=1,
        transport=transport,
        connection_age_seconds_max=STREAM_SECONDS,
        connection_age_grace_seconds=1,
    ) as server:
        yield server


@pytest.fixture
def chain(dsn: str) -> Chain:
    chain = run(new_chain(dsn))
    run(chain.add_members(MEMBERS))
    return chain


@asynccontextmanager
async def connection(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def assert_serves(server: Server, chain: Chain) -> None:
    async with Till(server.address, chain.api_key) as till:
        assert not (await till.write(accrue(1))).reason


def open_files(server: Server) -> int:
    return psutil.Process(*server.worker_pids()).num_fds()


# --- nonsense ---------------------------------------------------------------------------------------

_PATH: Final = f"{SERVICE}Accrue"
_START: Final = PREFACE + settings({})
NONSENSE: Final = {
    "noise": bytes(range(256)) * 40,
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half a preface": PREFACE[:10],
    "settings of no length": PREFACE + frame(SETTINGS, 0, 0, b"abc"),
    "data of no stream": _START + frame(DATA, 0, 0, b"abc"),
    "data of a stream that is not open": _START + frame(DATA, END_STREAM, 7, b"abc"),
    "headers that do not decode": _START + frame(HEADERS, 5, 1, b"\xff" * 40),
    "headers of an even stream": _START + headers(2, {":method": "POST"}),
    "headers without a path": _START + headers(1, {":method": "POST", ":scheme": "http"}),
    "continued without headers": _START + frame(CONTINUATION, 4, 1, b"abc"),
    "a frame larger than allowed": _START + frame(DATA, 0, 1, bytes(1 << 20)),
    "a window that overflows": _START + 2 * frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", (1 << 31) - 1)),
    "a ping of no length": _START + frame(PING, 0, 0, b"abc"),
    "a message that ends early": _START
    + headers(1, {":method": "POST", ":scheme": "http", ":path": _PATH, "content-type": "application/grpc"})
    + frame(DATA, END_STREAM, 1, b"\0\0\0\1\0abc"),
    "a message of 4 GiB that does not come": _START
    + headers(1, {":method": "POST", ":scheme": "http", ":path": _PATH, "content-type": "application/grpc"})
    + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_costs_nobody_else_anything(server: Server, chain: Chain, name: str) -> None:
    worker = psutil.Process(*server.worker_pids())
    before = worker.memory_info().rss
    async with connection(server) as (_, writer):
        writer.write(NONSENSE[name])
        with suppress(OSError):
            await writer.drain()
        await assert_serves(server, chain)
    await assert_serves(server, chain)
    assert worker.memory_info().rss - before < 32 * MEGABYTE
    assert server.worker_pids() == [worker.pid]


# --- slow readers -----------------------------------------------------------------------------------


async def test_who_reads_no_replies_holds_up_nobody_and_gets_them_later(server: Server, chain: Chain) -> None:
    """Their windows are shut: no reply of more than a few bytes can go to them."""
    message = batch_request(accrue(member_id) for member_id in MEMBERS[:10]).SerializeToString()
    streams = range(1, 41, 2)
    # Who sends more before the server has made room is cut off, and rightly so.
    assert len(streams) * len(message) < CONNECTION_WINDOW_BYTES
    async with connection(server) as (reader, writer):
        writer.write(PREFACE + settings({INITIAL_WINDOW_SIZE: 0}))
        for stream in streams:
            writer.write(call(stream, f"{SERVICE}ProcessBatch", message, chain.api_key))
        await writer.drain()
        await eventually_true(lambda: has_recorded(chain, 10))
        await assert_serves(server, chain)
        writer.write(settings({INITIAL_WINDOW_SIZE: 1 << 20}))
        writer.write(frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1 << 30)))
        ended: set[int] = set()
        async with asyncio.timeout(60):
            while len(ended) < len(streams):
                came = await read_frame(reader)
                if came.kind == HEADERS and came.flags & END_STREAM:
                    ended.add(came.stream)
    assert ended == set(streams)


async def has_recorded(chain: Chain, operations: int) -> bool:
    return await chain.operation_count() >= operations


async def test_a_stream_that_nobody_reads_is_not_read_from_either(server: Server, chain: Chain) -> None:
    message = batch_request(accrue(member_id) for member_id in MEMBERS).SerializeToString()
    worker = psutil.Process(*server.worker_pids())
    before = worker.memory_info().rss
    async with Till(server.address, chain.api_key) as till:
        multicallable: Any = till.channels[0].stream_stream(f"{SERVICE}ProcessStream")
        stream = multicallable(metadata=(("authorization", f"Bearer {chain.api_key}"),))
        with pytest.raises(TimeoutError):
            await write_until_stuck(stream, message)
        await assert_serves(server, chain)
        assert worker.memory_info().rss - before < 64 * MEGABYTE
        stream.cancel()
    # Under the native transport it is the connection's age that ends it.
    await asyncio.to_thread(eventually, lambda: streams_under_way(server) == 0)
    await assert_serves(server, chain)


async def write_until_stuck(stream: Any, message: bytes) -> None:
    for _ in range(MESSAGES_MAX):
        await asyncio.wait_for(stream.write(message), STUCK_SECONDS)


def streams_under_way(server: Server) -> float:
    stream = {"grpc_method": "ProcessStream"}
    return server.metric("grpc_server_started_total", **stream) - server.metric(
        "grpc_server_handled_total", **stream
    )


# --- many -------------------------------------------------------------------------------------------


async def test_connections_that_come_and_go_leave_nothing(
    server: Server, chain: Chain, pytestconfig: pytest.Config
) -> None:
    message = accrue(1, idempotency_key="the-same").SerializeToString()

    async def come_and_go(*, is_orderly: bool) -> None:
        async with connection(server) as (reader, writer):
            writer.write(PREFACE + settings({}) + call(1, _PATH, message, chain.api_key))
            if is_orderly:
                while (await read_frame(reader)).kind != DATA:
                    pass

    async def several(count: int) -> None:
        for _ in range(0, count, OPENED_AT_A_TIME):
            async with asyncio.timeout(60):
                await asyncio.gather(
                    *(come_and_go(is_orderly=number % 2 == 0) for number in range(OPENED_AT_A_TIME))
                )

    worker = psutil.Process(*server.worker_pids())
    await several(1_000)
    await eventually_true(lambda: has_files(server, 200))
    files, memory = open_files(server), worker.memory_info().rss
    await several(pytestconfig.getoption("--connections"))
    await eventually_true(lambda: has_files(server, files + 20))
    growth = (worker.memory_info().rss - memory) / MEGABYTE
    print(f"{pytestconfig.getoption('--connections'):,} connections: {growth:+.1f} MB")  # noqa: T201
    assert growth < 16
    await assert_serves(server, chain)


async def has_files(server: Server, most: int) -> bool:
    return await asyncio.to_thread(open_files, server) <= most
