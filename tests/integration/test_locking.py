"""Reading accounts under locks, while another transaction changes them."""

import asyncio

import asyncpg

from processor.domain.batch import Wanted
from storage.ledger import PostgresLedger
from storage.partitions import Partitions
from tests.chains import new_chain, query

MEMBERS = range(1, 1_001)
WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def test_a_locked_account_is_read_as_it_is_once_the_lock_is_had(
    database: str, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    chain = await new_chain(database)
    await chain.add_members(MEMBERS)
    await query(database, "ANALYZE")  # the plans of a database in use are not those of an empty one
    store = PostgresLedger(pool, Partitions(pool), on_commit=lambda _: None)

    async def balances() -> dict[int, int]:
        async with store.transaction(chain.chain_id, [], locking=True) as transaction:
            loaded = await transaction.load(Wanted([1, 2, 3], [], [], 0, 0))
        return {member_id: account.balance_points for member_id, account in loaded.accounts.items()}

    async with owner.transaction():
        await owner.execute("UPDATE account SET balance_points = 7 WHERE member_id IN (1, 3)")
        reading = asyncio.create_task(balances())
        while not await owner.fetchval(WAITING):
            assert not reading.done()
    assert await reading == {1: 7, 2: 0, 3: 7}
