"""What the service reads beside the hot path."""

import asyncio

import asyncpg
import pytest

from processor.domain.account import Account, CardStatus
from processor.domain.failures import StorageUnavailable
from processor.domain.member import Holder
from processor.domain.operation import recorded_from
from processor.domain.outcomes import Outcome
from storage.members import Member, add_members
from storage.reads import PostgresReader
from tests.history import DAY_US, START_US, accrual, add_chain, decided, redemption, write
from tests.postgres import Server

LAST = 2**63 - 1


@pytest.fixture
async def chain_id(owner: asyncpg.Connection) -> int:
    return await add_chain(owner, "corner-shop")


@pytest.fixture
def reader(pool: asyncpg.Pool) -> PostgresReader:
    return PostgresReader(pool)


async def test_an_account_by_member_and_by_card(
    reader: PostgresReader, owner: asyncpg.Connection, chain_id: int
) -> None:
    operations = decided(chain_id, [accrual("key-1", 1), redemption("key-2", 1, 40)])
    await write(owner, operations)
    await add_members(owner, chain_id, [Member(1, "card-1")])
    expected = Account(1, 60, 2, operations[-1].entry_hash)
    await owner.execute("UPDATE card SET status = 1")
    assert await reader.holder(chain_id, 1, "") == Holder(expected, CardStatus.OPEN)
    assert await reader.holder(chain_id, 0, "card-1") == Holder(expected, CardStatus.BLOCKED)
    assert await reader.resolve(chain_id, 1, "") == 1
    assert await reader.resolve(chain_id, 0, "card-1") == 1


async def test_what_does_not_exist_is_none(
    reader: PostgresReader, owner: asyncpg.Connection, chain_id: int
) -> None:
    other_chain_id = await add_chain(owner, "other-shop")
    await write(owner, decided(other_chain_id, [accrual("key-1", 1)]))
    await add_members(owner, other_chain_id, [Member(1, "card-1")])
    assert await reader.holder(chain_id, 1, "") is None
    assert await reader.holder(chain_id, 0, "card-1") is None
    assert await reader.resolve(chain_id, 0, "card-1") is None
    assert await reader.recorded(chain_id, "key-1") is None
    assert await reader.operations(chain_id, 1, LAST, 10) == []


async def test_the_newest_use_of_a_key(
    reader: PostgresReader, owner: asyncpg.Connection, chain_id: int
) -> None:
    first = accrual("key-1", 1)
    second = redemption("key-1", 2, 40, occurred_at_us=START_US + 90 * DAY_US)
    *_, last = operations = decided(chain_id, [second, first])
    await write(owner, operations)
    assert last.idempotency_key == "key-1"
    newest = operations[0]
    assert await reader.recorded(chain_id, "key-1") == recorded_from(newest)
    assert newest.outcome is Outcome.INSUFFICIENT_POINTS


async def test_pages_of_operations_across_partitions(
    reader: PostgresReader, owner: asyncpg.Connection, chain_id: int
) -> None:
    commands = [
        accrual(f"key-{number}", 1, occurred_at_us=START_US + number % 3 * 31 * DAY_US)
        for number in range(1, 11)
    ]
    operations = decided(chain_id, [*commands, accrual("other", 2)])
    await write(owner, operations)
    expected = [(row.member_sequence, row.idempotency_key, recorded_from(row)) for row in operations[9::-1]]
    assert await reader.operations(chain_id, 1, LAST, 4) == expected[:4]
    assert await reader.operations(chain_id, 1, 7, 100) == expected[4:]


async def test_a_read_leaves_no_chain_behind(
    reader: PostgresReader, pool: asyncpg.Pool, owner: asyncpg.Connection, chain_id: int
) -> None:
    await write(owner, decided(chain_id, [accrual("key-1", 1)]))
    async with pool.acquire() as connection:
        assert len(await connection.fetch("SELECT * FROM read_account($1, 1, '')", chain_id)) == 1
        assert await connection.fetch("SELECT FROM account") == []
        assert await connection.fetch("SELECT FROM operation") == []


async def test_a_lost_database_is_said_so(
    reader: PostgresReader, owner: asyncpg.Connection, postgres: Server
) -> None:
    assert await reader.recorded(1, "key") is None
    name = await owner.fetchval("SELECT current_database()")
    await asyncio.to_thread(postgres.cut_off, name)
    with pytest.raises(StorageUnavailable):
        await reader.recorded(1, "key")
    await asyncio.to_thread(postgres.let_in, name)
    assert await reader.recorded(1, "key") is None
