"""What the service's sessions guarantee, whatever the database's own defaults are."""

import asyncio

import asyncpg
import pytest

from processor.domain.failures import BatchConflict, OutcomeUnknown, StorageUnavailable
from storage.ledger import PostgresLedger
from storage.partitions import Partitions
from storage.pool import open_pool
from tests.chains import Chain, new_chain

DATABASE_DEFAULTS = """
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting} = {value}', current_database()); END $$
"""


async def set_default(owner: asyncpg.Connection, setting: str, value: str) -> None:
    await owner.execute(DATABASE_DEFAULTS.format(setting=setting, value=f"''{value}''"))


@pytest.mark.parametrize(
    "setting,default,in_force",
    [
        ("default_transaction_isolation", "repeatable read", "read committed"),
        ("synchronous_commit", "off", "on"),
        ("synchronous_commit", "local", "on"),
        ("synchronous_commit", "remote_apply", "remote_apply"),
    ],
)
async def test_the_database_cannot_weaken_a_session(
    database: str, owner: asyncpg.Connection, setting: str, default: str, in_force: str
) -> None:
    await set_default(owner, setting, default)
    async with await open_pool(database, connections=1, statement_timeout_seconds=10) as pool:
        assert await pool.fetchval(f"SHOW {setting}") == in_force


@pytest.fixture
async def chain(database: str) -> Chain:
    chain = await new_chain(database)
    await chain.add_members([1])
    return chain


def ledger(pool: asyncpg.Pool) -> PostgresLedger:
    return PostgresLedger(pool, Partitions(pool), on_commit=lambda _: None)


async def test_who_waits_long_for_a_lock_lets_the_batch_go(
    database: str, owner: asyncpg.Connection, chain: Chain
) -> None:
    async with await open_pool(database, connections=2, statement_timeout_seconds=1) as pool:
        async with owner.transaction():
            await owner.execute("SELECT pg_advisory_xact_lock(hashtext('loyalty.chain'), $1)", chain.chain_id)
            with pytest.raises(BatchConflict, match="lock timeout"):
                async with ledger(pool).transaction(chain.chain_id, [], locking=False):
                    pass
        async with ledger(pool).transaction(chain.chain_id, [], locking=False):
            pass


async def test_a_session_that_hangs_in_a_transaction_loses_its_locks(database: str, chain: Chain) -> None:
    async with await open_pool(database, connections=2, statement_timeout_seconds=1) as pool:
        store = ledger(pool)
        hung = store.transaction(chain.chain_id, [0], locking=False)  # not the present month: alone
        await hung.__aenter__()
        async with asyncio.timeout(30):
            while not await is_entered(store, chain):
                pass
        with pytest.raises((StorageUnavailable, OutcomeUnknown)):
            await hung.__aexit__(None, None, None)


async def is_entered(store: PostgresLedger, chain: Chain) -> bool:
    try:
        async with store.transaction(chain.chain_id, [], locking=False):
            return True
    except BatchConflict:
        return False
