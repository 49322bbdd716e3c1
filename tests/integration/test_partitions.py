"""The ledger's partitions, made under load and taken away when no window reaches them."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import pairwise
from time import time_ns

import asyncpg
import pytest

from storage import partitions as module
from storage.partitions import (
    Interval,
    PartitionError,
    Partitions,
    detach_partition,
    list_partitions,
    partition_interval,
    set_partition_interval,
)
from storage.pool import connect, open_pool
from tests.history import COLUMNS, DAY_US, accrual, add_chain, decided, write
from tests.postgres import Server

NOW_US = time_ns() // 1_000


def unix_us(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def partitions(pool: asyncpg.Pool) -> Partitions:
    return Partitions(pool)


async def names(connection: asyncpg.Connection) -> list[str]:
    return [part.name for part in await list_partitions(connection)]


async def test_a_month_with_no_partition_gets_one(partitions: Partitions, owner: asyncpg.Connection) -> None:
    first, next_first = unix_us(2026, 3, 1), unix_us(2026, 4, 1)
    for at_us in (first + 5 * DAY_US, first, next_first - 1):
        assert await partitions.name_for(at_us) == "operation_20260301"
    assert await partitions.name_for(next_first) == "operation_20260401"
    assert await partitions.name_for(first - 1) == "operation_20260201"
    sizes = await list_partitions(owner)
    assert [part.name for part in sizes] == ["operation_20260201", "operation_20260301", "operation_20260401"]
    assert (sizes[1].from_us, sizes[1].to_us) == (first, next_first)
    assert sizes[1].operations_estimate == 0
    assert sizes[1].size_bytes > 0


@pytest.mark.parametrize("interval", Interval)
async def test_partitions_are_made_ahead_without_gaps(
    interval: Interval, partitions: Partitions, owner: asyncpg.Connection
) -> None:
    await set_partition_interval(owner, interval)
    assert await partition_interval(owner) == interval
    assert partitions.runway_seconds() == 0
    # A day may end meanwhile.
    before_us = time_ns() // 1_000
    await partitions.make_ahead(3)
    sizes = await list_partitions(owner)
    assert before_us < sizes[0].to_us
    assert sizes[0].from_us <= time_ns() // 1_000
    assert [part.to_us for part in sizes[:-1]] == [part.from_us for part in sizes[1:]]
    assert len(sizes) == 4
    before_us = time_ns() // 1_000
    runway_us = round(partitions.runway_seconds() * 1_000_000)
    assert before_us <= sizes[-1].to_us - runway_us <= time_ns() // 1_000
    await partitions.make_ahead(3)
    assert await list_partitions(owner) == sizes


async def test_a_changed_interval_fills_the_gaps_beside_older_partitions(
    partitions: Partitions, owner: asyncpg.Connection
) -> None:
    await set_partition_interval(owner, Interval.DAY)
    await partitions.name_for(unix_us(2026, 3, 10))
    await set_partition_interval(owner, Interval.MONTH)
    assert await partitions.name_for(unix_us(2026, 3, 9)) == "operation_20260301"
    assert await partitions.name_for(unix_us(2026, 3, 11)) == "operation_20260311"
    ranges = [(part.from_us, part.to_us) for part in await list_partitions(owner)]
    days = [unix_us(2026, 3, 1), unix_us(2026, 3, 10), unix_us(2026, 3, 11), unix_us(2026, 4, 1)]
    assert ranges == list(pairwise(days))


async def test_sixteen_at_once_make_one_partition(database: str, owner: asyncpg.Connection) -> None:
    async with AsyncExitStack() as stack:
        pools = [
            await stack.enter_async_context(
                await open_pool(database, connections=1, statement_timeout_seconds=10)
            )
            for _ in range(16)
        ]
        made = await asyncio.gather(*(Partitions(pool).name_for(NOW_US) for pool in pools))
    assert set(made) == set(await names(owner))
    assert len(set(made)) == 1


async def test_open_transactions_are_not_in_the_way(
    partitions: Partitions, database: str, owner: asyncpg.Connection
) -> None:
    chain_id = await add_chain(owner, "corner-shop")
    await write(owner, decided(chain_id, [accrual("key-1", 1)]))
    other = await connect(database)
    async with other.transaction():
        await other.execute("LOCK TABLE operation IN ROW EXCLUSIVE MODE")
        assert await other.fetchval("SELECT count(*) FROM operation") == 1
        assert await partitions.name_for(unix_us(2026, 6, 1)) == "operation_20260601"
        await other.execute("UPDATE operation SET store_id = 'store-2'")
    await other.close()


async def test_making_a_partition_is_in_nobodys_way(database: str, owner: asyncpg.Connection) -> None:
    chain_id = await add_chain(owner, "corner-shop")
    await write(owner, decided(chain_id, [accrual("key-1", 1)]))
    maker = await connect(database)
    async with maker.transaction():
        await maker.execute("SELECT ensure_partition(now())")
        await owner.execute("SET lock_timeout = '1s'")
        await write_more(owner, chain_id)
        assert await owner.fetchval("SELECT count(*) FROM operation") == 2
    await maker.close()


async def write_more(connection: asyncpg.Connection, chain_id: int) -> None:
    """Append into a partition that exists, as the service does: COPY into it by name."""
    (operation,) = decided(chain_id, [accrual("key-2", 2)])
    await connection.copy_records_to_table("operation_20260101", records=[operation], columns=COLUMNS)


async def test_making_ahead_survives_a_lost_database(
    partitions: Partitions,
    postgres: Server,
    owner: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    name = await owner.fetchval("SELECT current_database()")
    await partitions.load()
    await asyncio.to_thread(postgres.cut_off, name)
    task = asyncio.create_task(partitions.keep_ahead(2, 0.01))
    await asyncio.sleep(0.2)
    assert not task.done()
    await asyncio.to_thread(postgres.let_in, name)
    async with asyncio.timeout(30):
        while partitions.runway_seconds() == 0:  # noqa: ASYNC110 - what a user of it would do
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_old_partition_is_detached_and_its_size_kept(owner: asyncpg.Connection) -> None:
    chain_id = await add_chain(owner, "corner-shop")
    await write(owner, decided(chain_id, [accrual("key-1", 1), accrual("key-2", 2)]))
    await owner.execute("SELECT ensure_partition(now())")
    await detach_partition(owner, "operation_20260101")
    assert await owner.fetchval("SELECT count(*) FROM operation") == 0
    assert await owner.fetchval("SELECT count(*) FROM operation_20260101") == 2
    assert not await owner.fetchval(
        "SELECT has_table_privilege('loyalty_service', 'operation_20260101', 'INSERT')"
    )
    record = await owner.fetchrow("SELECT name, chain_id, operations FROM detached_partition")
    assert record is not None
    assert tuple(record) == ("operation_20260101", chain_id, 2)
    with pytest.raises(PartitionError, match="no partition 'operation_20260101'"):
        await detach_partition(owner, "operation_20260101")


async def test_a_partition_within_a_window_is_kept(owner: asyncpg.Connection) -> None:
    await add_chain(owner, "corner-shop")
    name = await owner.fetchval("SELECT ensure_partition(now() - interval '45 days')")
    with pytest.raises(PartitionError, match=r"lies within a chain's window: .* after 20\d\d-"):
        await detach_partition(owner, name)
    await owner.execute("UPDATE chain SET window_back_seconds = 1")
    await detach_partition(owner, name)


@pytest.mark.parametrize("name", ["account_00", "operation", 'x"; DROP TABLE operation', ""])
async def test_only_a_partition_of_the_ledger_is_detached(name: str, owner: asyncpg.Connection) -> None:
    with pytest.raises(PartitionError, match="the ledger has no partition"):
        await detach_partition(owner, name)


async def test_an_interrupted_detachment_is_finished(database: str, owner: asyncpg.Connection) -> None:
    chain_id = await add_chain(owner, "corner-shop")
    await write(owner, decided(chain_id, [accrual("key-1", 1)]))
    reader = await connect(database)
    await reader.execute("BEGIN; SELECT FROM operation")
    await owner.execute("SET statement_timeout = '500ms'")
    with pytest.raises(asyncpg.QueryCanceledError):
        await detach_partition(owner, "operation_20260101")
    assert await names(owner) == []
    await reader.execute("COMMIT")
    await reader.close()
    await detach_partition(owner, "operation_20260101")
    with pytest.raises(PartitionError):
        await detach_partition(owner, "operation_20260101")
    assert await owner.fetchval("SELECT operations FROM detached_partition") == 1
