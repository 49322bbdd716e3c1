"""More calls than can be served: refused at once, in bounded memory, and none of the others harmed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psutil
import pytest

from storage.pool import connect
from tests.chains import Chain, new_chain
from tests.client import Answer, Till, answers_of, batch_request
from tests.postgres import run
from tests.requests import Write, accrue
from tests.server import Server, eventually_true, serving

QUEUE_OPS_MAX = 1_000
MEMBERS = range(1, 1_001)
MEGABYTE = 1 << 20


@pytest.fixture
def small_server(database: str) -> Iterator[Server]:
    """One worker with the shortest queue there is, and all the time in the world."""
    with serving(
        database, workers=1, queue_ops_max=QUEUE_OPS_MAX, batch_ops_max=100, statement_timeout_seconds=60
    ) as server:
        yield server


@pytest.fixture
def chains(database: str) -> list[Chain]:
    chains = [run(new_chain(database)) for _ in range(2)]
    for chain in chains:
        run(chain.add_members(MEMBERS))
    return chains


@asynccontextmanager
async def stalled(chain: Chain) -> AsyncIterator[None]:
    """Nobody can read or write an account meanwhile."""
    connection = await connect(chain.dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


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
