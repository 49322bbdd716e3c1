"""What a batch loads beside accounts and keys, and what it leaves beside operations."""

import asyncio
from collections.abc import Sequence
from functools import reduce
from typing import Final

import asyncpg
import pytest

from processor.domain.account import Account, CardHolder, CardStatus
from processor.domain.batch import AccountChange, Due, Loaded, Wanted, Written
from processor.domain.command import Kind
from processor.domain.decision import Decision
from processor.domain.effects import Effects
from processor.domain.effects_bytes import encode_effects
from processor.domain.failures import BatchConflict
from processor.domain.operation import Follower, Operation, account_after, original_from
from processor.domain.outcomes import Outcome
from processor.domain.state import Hold, Tally
from storage.ledger import PostgresLedger
from storage.members import Member, add_members
from storage.partitions import Partitions
from tests.history import DAY_US, START_US, accrual, add_chain, dated_history, decided, recorded, write

MONTH_US: Final = 31 * DAY_US
NOTHING: Final = Wanted([], [], [], 0, 0)
WAITING: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
async def chain_id(owner: asyncpg.Connection) -> int:
    return await add_chain(owner, "corner-shop")


@pytest.fixture
def store(pool: asyncpg.Pool) -> PostgresLedger:
    return PostgresLedger(pool, Partitions(pool), on_commit=lambda _: None)


async def load(store: PostgresLedger, chain_id: int, wanted: Wanted) -> Loaded:
    async with store.transaction(chain_id, [], locking=False) as transaction:
        return await transaction.load(wanted)


async def save(store: PostgresLedger, chain_id: int, written: Written) -> None:
    times_us = [operation.occurred_at_us for operation in written.operations]
    async with store.transaction(chain_id, times_us, locking=False) as transaction:
        await transaction.load(NOTHING._replace(subjects=sorted(written.tallies)))
        await transaction.save(written)


# --- accounts and cards ----------------------------------------------------------------------------


async def test_accounts_come_and_go_with_their_state(
    store: PostgresLedger, owner: asyncpg.Connection, chain_id: int
) -> None:
    await add_members(owner, chain_id, [Member(1, "card-1")])
    await owner.execute("UPDATE account SET segments = 'staff,vip', status = 1")
    await owner.execute("UPDATE card SET status = 1")
    operations = dated_history(chain_id, 1, [START_US + DAY_US])
    after = reduce(account_after, operations, Account(1, 0, 0, b"", b"", "staff,vip", 1))
    await save(store, chain_id, Written(operations, [AccountChange(after, 0)], [], {}))
    loaded = await load(store, chain_id, NOTHING._replace(cards=["card-1", "card-2"]))
    assert after.state
    assert loaded.accounts == {1: after}
    assert loaded.cards == {"card-1": CardHolder(1, CardStatus.BLOCKED)}
    with pytest.raises(BatchConflict):
        await save(store, chain_id, Written(operations, [AccountChange(after, 0)], [], {}))


async def test_cards_of_strangers_are_enrolled(
    store: PostgresLedger, owner: asyncpg.Connection, chain_id: int
) -> None:
    other_chain_id = await add_chain(owner, "other-shop")
    await add_members(owner, other_chain_id, [Member(1, "new-1")])
    await owner.execute("SELECT setval('member_number', 5)")
    await add_members(owner, chain_id, [Member(7)])
    async with store.transaction(chain_id, [], locking=False) as transaction:
        enrolled = await transaction.enrol(["new-2", "new-1"])
    assert enrolled.keys() == {"new-1", "new-2"}
    assert {account.member_id for account in enrolled.values()} == {6, 8}
    assert all(account[1:] == Account(0, 0, 0, b"")[1:] for account in enrolled.values())
    loaded = await load(store, chain_id, NOTHING._replace(cards=["new-1", "new-2"]))
    assert {card: loaded.accounts[holder.member_id] for card, holder in loaded.cards.items()} == enrolled


async def test_a_card_that_is_somebodys_by_now_is_a_conflict(
    store: PostgresLedger, owner: asyncpg.Connection, chain_id: int
) -> None:
    await add_members(owner, chain_id, [Member(1, "card-1")])
    with pytest.raises(BatchConflict):
        async with store.transaction(chain_id, [], locking=False) as transaction:
            await transaction.enrol(["new-1", "card-1"])
    assert await owner.fetchval("SELECT count(*) FROM account") == 1


# --- originals -------------------------------------------------------------------------------------


def following(
    history: Sequence[Operation], kind: Kind, key: str, original_key: str, outcome: Outcome = Outcome.APPLIED
) -> Operation:
    """The member's next operation, a month after the last."""
    *_, last = history
    account = reduce(account_after, history, Account(last.member_id, 0, 0, b""))
    command = accrual(key, last.member_id, occurred_at_us=last.occurred_at_us + MONTH_US)
    command = command._replace(kind=kind, original_key=original_key)
    effects = Effects(opened_holds=(Hold(1, 1, ()),))
    return recorded(last.chain_id, account, command, Decision(outcome, effects=effects))


async def test_an_operation_is_found_however_old_with_what_followed_it(
    store: PostgresLedger, owner: asyncpg.Connection, chain_id: int
) -> None:
    history = decided(chain_id, [accrual("sale", 1), accrual("other", 1)])
    history.append(following(history, Kind.RETURN, "return-1", "sale"))
    history.append(following(history, Kind.RETURN, "return-2", "sale", Outcome.NOT_REVERSIBLE))
    history.append(following(history, Kind.ADJUST, "adjust", "sale"))
    history.append(following(history, Kind.REVERSE, "reversal", "sale"))
    stranger = decided(chain_id, [accrual("x", 2)])
    stranger.append(following(stranger, Kind.RETURN, "return-3", "sale"))
    await write(owner, history + stranger)
    wanted = NOTHING._replace(original_keys=["sale", "nothing", "return-1"], earliest_us=2**60)
    effects = encode_effects(Effects(opened_holds=(Hold(1, 1, ()),)))
    followers = (Follower(Kind.RETURN, effects), Follower(Kind.REVERSE, effects))
    assert (await load(store, chain_id, wanted)).originals == {
        "sale": [original_from(history[0])._replace(followers=followers)],
        "return-1": [original_from(history[2])],
    }


async def test_what_followed_an_older_use_of_a_key_is_not_of_the_newer(
    store: PostgresLedger, owner: asyncpg.Connection, chain_id: int
) -> None:
    history = decided(chain_id, [accrual("sale", 1)])
    history.append(following(history, Kind.RETURN, "return", "sale"))
    history.append(following(history, Kind.ADJUST, "sale", ""))
    await write(owner, history)
    loaded = await load(store, chain_id, NOTHING._replace(original_keys=["sale"], earliest_us=2**60))
    assert {each.kind: len(each.followers) for each in loaded.originals["sale"]} == {
        Kind.ACCRUE: 1,
        Kind.ADJUST: 0,
    }


async def test_followers_are_found_by_the_index(
    pool: asyncpg.Pool, owner: asyncpg.Connection, chain_id: int
) -> None:
    await write(owner, decided(chain_id, [accrual(f"key-{number}", 1) for number in range(500)]))
    await owner.execute("ANALYZE operation")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL loyalty.chain_id = {chain_id}")
        plan = await connection.fetch(
            "EXPLAIN SELECT * FROM unnest($1::text[]) AS wanted (key) CROSS JOIN LATERAL (SELECT * FROM"
            " operation AS o WHERE o.chain_id = $2 AND o.original_key = wanted.key AND o.original_key <> ''"
            " OFFSET 0) AS operation",
            ["key-1"],
            chain_id,
        )
    assert any("operation_20260101_original" in row[0] for row in plan)


# --- tallies and times -----------------------------------------------------------------------------


async def test_tallies_are_made_kept_and_locked(
    store: PostgresLedger, owner: asyncpg.Connection, chain_id: int
) -> None:
    subjects = ["store:1", "terminal:1/2"]
    empty, counted = Tally(*[0] * 9), Tally(0, 490_000, 1, 2, 3, 20_500, 4, 5, 6)
    wanted = NOTHING._replace(subjects=subjects)
    async with store.transaction(chain_id, [], locking=False) as transaction:
        loaded = await transaction.load(wanted)
        assert loaded.tallies == dict.fromkeys(subjects, empty)
        other = asyncio.create_task(load(store, chain_id, wanted))
        while not await owner.fetchval(WAITING):
            assert not other.done()
        await transaction.save(Written([], [], [], {"store:1": counted}))
    assert (await other).tallies == {"store:1": counted, "terminal:1/2": empty}


async def test_tallies_are_a_chains_own(
    store: PostgresLedger, owner: asyncpg.Connection, chain_id: int
) -> None:
    counted = Tally(0, 1, 1, 1, 1, 1, 1, 1, 1)
    await save(store, chain_id, Written([], [], [], {"store:1": counted}))
    other_chain_id = await add_chain(owner, "other-shop")
    loaded = await load(store, other_chain_id, NOTHING._replace(subjects=["store:1"]))
    assert loaded.tallies == {"store:1": Tally(*[0] * 9)}


async def test_times_are_noted_and_counted(
    store: PostgresLedger, owner: asyncpg.Connection, chain_id: int
) -> None:
    for dues in ([Due(START_US, 2), Due(START_US, 1), Due(START_US, 2)], [Due(START_US, 2)]):
        await save(store, chain_id, Written([], [], dues, {}))
    rows = await owner.fetch("SELECT chain_id, due_at, member_id, times_noted FROM due ORDER BY member_id")
    assert [tuple(row) for row in rows] == [(chain_id, START_US, 1, 1), (chain_id, START_US, 2, 2)]
