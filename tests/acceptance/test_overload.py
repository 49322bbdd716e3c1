"""More calls than can be served: refused at once, in bounded memory, and none of the others harmed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest

from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import GetBalanceRequest
from storage.pool import connect
from tests.chains import Chain, new_chain
from tests.client import Answer, Till, answers_of, batch_request
from tests.postgres import run
from tests.requests import Write, accrue
from tests.server import Server, eventually_true, serving

QUEUE_OPS_MAX = 1_000
MEMBERS = range(1, 1_001)
MEGABYTE = 1 << 20
# Neither the wait for a lock, which is a part of a statement's time, nor that for a repeat may end a test.
PATIENT = {"statement_timeout_seconds": 300, "retry_seconds": 300}


@pytest.fixture
def small_server(database: str, transport: str) -> Iterator[Server]:
    """One worker with the shortest queue there is, and all the time in the world."""
    with serving(
        database,
        workers=1,
        transport=transport,
        queue_ops_max=QUEUE_OPS_MAX,
        batch_ops_max=100,
        **PATIENT,
    ) as server:
        yield server


@pytest.fixture
def chains(database: str) -> list[Chain]:
    chains = [run(new_chain(database)) for _ in range(2)]
    for chain in chains:
        run(chain.add_members(MEMBERS))
    return chains


@asynccontextmanager
async def stalled(chain: Chain, table: str = "account") -> AsyncIterator[None]:
    """Nobody can read or write the table meanwhile."""
    connection = await connect(chain.dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


class Memory:
    """The resident memory of a process in megabytes: what it was, and the most of it since."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.before = self.peak = process.memory_info().rss // MEGABYTE

    @property
    def growth(self) -> int:
        return self.peak - self.before

    def __str__(self) -> str:
        return f"resident memory {self.before} MB before, {self.peak} MB at the most"

    async def watch(self) -> None:
        while True:
            self.peak = max(self.peak, self._process.memory_info().rss // MEGABYTE)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def memory_of(server: Server) -> AsyncIterator[Memory]:
    """That of the only worker while the block lasts."""
    memory = Memory(psutil.Process(*server.worker_pids()))
    watch = asyncio.create_task(memory.watch())
    try:
        yield memory
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch


async def fill_queue(server: Server, till: Till) -> list["asyncio.Task[list[Answer]]"]:
    """Ten batches, which are all that the queue takes."""
    tasks = []
    for start in range(0, QUEUE_OPS_MAX, 100):
        requests: list[Write] = [accrue(member_id) for member_id in MEMBERS[start : start + 100]]
        tasks.append(asyncio.create_task(till.batch(requests)))
    await eventually_true(lambda: has_queued(server, QUEUE_OPS_MAX))
    return tasks


async def has_queued(server: Server, operations: int) -> bool:
    metrics = await asyncio.to_thread(server.metrics)
    return f"loyalty_queue_operations {operations}.0" in metrics


def assert_refused_for_now(answer: Answer) -> None:
    assert answer.reason == "QUEUE_FULL"
    assert answer.status.code == 8  # RESOURCE_EXHAUSTED
    assert answer.retry_delay_seconds is not None
    assert answer.retry_delay_seconds > 0


async def test_a_full_queue_refuses_at_once_in_bounded_memory(
    small_server: Server, chains: list[Chain]
) -> None:
    chain, other = chains
    worker = psutil.Process(*small_server.worker_pids())
    async with (
        Till(small_server.address, chain.api_key, connections=4) as till,
        Till(small_server.address, other.api_key) as other_till,
    ):
        async with stalled(chain):
            taken_on = await fill_queue(small_server, till)
            # All of these are answered while nothing can be served.
            assert_refused_for_now(await till.write(accrue(1)))
            resident = [worker.memory_info().rss]
            for _ in range(10):
                batches = [batch_request(accrue(member_id) for member_id in MEMBERS) for _ in range(5)]
                calls = [till.call("ProcessBatch", batch.SerializeToString()) for batch in batches]
                calls += [till.write(accrue(member_id)) for member_id in MEMBERS[:500]]
                for answer in await asyncio.gather(*calls):
                    assert_refused_for_now(answer)
                resident.append(worker.memory_info().rss)
            others = asyncio.create_task(other_till.write(accrue(1)))
            await asyncio.sleep(0.2)
            assert not others.done()
        assert not (await others).reason
        answers = [answer for task in taken_on for answer in await task]
        assert {answer.reason for answer in answers} == {""}
        assert await chain.operation_count() == QUEUE_OPS_MAX
        assert not (await till.write(accrue(1))).reason
    growth = (max(resident) - resident[0]) // MEGABYTE
    print(f"resident memory {resident[0] // MEGABYTE} MB when full, {growth} MB more after 55,000 refusals")  # noqa: T201
    assert growth < 64


async def test_a_caller_that_cancels_loses_nobody_elses_call(
    small_server: Server, chains: list[Chain]
) -> None:
    chain = chains[0]
    requests: list[Write] = [accrue(member_id) for member_id in MEMBERS[:400]]
    async with Till(small_server.address, chain.api_key, connections=4) as till:
        async with stalled(chain):
            calls = [till.start("Accrue", request.SerializeToString()) for request in requests]
            await eventually_true(lambda: has_queued(small_server, len(calls)))
            for call in calls[::2]:
                call.cancel()
            batch = till.start("ProcessBatch", batch_request(requests[::4]).SerializeToString())
            await asyncio.sleep(0.2)
            batch.cancel()
        for call, request in list(zip(calls, requests, strict=True))[1::2]:
            assert request.idempotency_key.encode() in await call
        # What was cancelled was applied or not, and the repeat finds out.
        again = answers_of(
            bytes(await till.start("ProcessBatch", batch_request(requests).SerializeToString()))
        )
        assert {answer.reason for answer in again} == {""}
        assert all(answer.replayed for answer in again[1::2])
        assert await chain.operation_count() == len(requests)
        balances = await chain.query(
            "SELECT DISTINCT balance_points FROM account WHERE chain_id = $1 AND member_id <= 400"
        )
        assert [tuple(row) for row in balances] == [(1,)]


# --- memory -----------------------------------------------------------------------------------------


def long_receipt(member_id: int) -> Write:
    """An Accrue of as many lines as there may be."""
    lines = [
        LineItem(
            sku=f"46000{number:06d}", quantity_milli=500, amount_minor=20, category=f"group-{number % 40}"
        )
        for number in range(500)
    ]
    return accrue(member_id, receipt=Receipt(receipt_id="long", total_minor=10_000, lines=lines))


async def test_long_receipts_wait_in_bounded_memory(
    database: str, chains: list[Chain], transport: str
) -> None:
    batch = batch_request(long_receipt(member_id) for member_id in MEMBERS[:50]).SerializeToString()
    with serving(
        database,
        workers=1,
        transport=transport,
        queue_bytes_max=64 * MEGABYTE,
        **PATIENT,
    ) as server:
        async with (
            Till(server.address, chains[0].api_key, connections=4) as till,
            Till(server.address, chains[1].api_key, connections=4) as other_till,
            memory_of(server) as memory,
        ):
            async with stalled(chains[0]):
                calls = [
                    asyncio.create_task(each.call("ProcessBatch", batch))
                    for each in (till, other_till)
                    for _ in range(20)
                ]
                # Two of them fill it, by the estimate: 50 operations of 502 KiB each.
                await eventually_true(lambda: are_done(calls, len(calls) - 2))
                for call in calls:
                    if call.done():
                        assert_refused_for_now(call.result())
            answers = await asyncio.gather(*calls)
    assert sum(not answer.reason for answer in answers) == 2
    print(f"2,000 long receipts: {memory}")  # noqa: T201
    assert memory.growth < 128


async def are_done(calls: list["asyncio.Task[Answer]"], count: int) -> bool:
    return sum(call.done() for call in calls) >= count


@pytest.mark.parametrize("megabytes", [4, 15])
async def test_messages_of_strangers_take_no_memory(database: str, megabytes: int) -> None:
    message = bytes(megabytes * MEGABYTE)
    # Under the native transport they do: see docs/transports.md.
    with serving(database, workers=1, transport="grpcio") as server:
        async with Till(server.address, "nobody", connections=4) as till, memory_of(server) as memory:
            answers = await asyncio.gather(*(till.call("ProcessBatch", message) for _ in range(200)))
    assert {answer.reason for answer in answers} == {"API_KEY_INVALID"}
    print(f"200 messages of {megabytes} MB without a key: {memory}")  # noqa: T201
    assert memory.growth < 64


# --- reads ------------------------------------------------------------------------------------------


async def test_reads_that_wait_hold_up_no_write(database: str, chains: list[Chain]) -> None:
    chain, other = chains
    for each in chains:
        await each.add_members([2_000], {"gold": 2_000})
    by_card = GetBalanceRequest(card="gold").SerializeToString()
    with serving(database, workers=1, reads_max=20, **PATIENT) as server:
        async with (
            Till(server.address, chain.api_key) as till,
            Till(server.address, other.api_key) as other_till,
        ):
            async with stalled(chain, "card"):
                reads = [asyncio.create_task(till.call("GetBalance", by_card)) for _ in range(21)]
                done, waiting = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
                assert_refused_for_now(*[read.result() for read in done])
                # The writes of its chain go on, and the reads of others are not refused.
                answers = await asyncio.gather(
                    *(till.write(accrue(member_id)) for member_id in MEMBERS[:100])
                )
                assert {answer.reason for answer in answers} == {""}
                waiting.add(asyncio.create_task(other_till.call("GetBalance", by_card)))
                await asyncio.sleep(0.2)
                assert not any(read.done() for read in waiting)
            assert {answer.reason for answer in await asyncio.gather(*waiting)} == {""}
