"""Replaying the ledger into an empty database gives the same accounts, byte for byte."""

from collections.abc import Iterator

import asyncpg
import pytest

from storage.migrate import migrate
from storage.partitions import detach_partition
from storage.pool import connect
from storage.rebuild import RebuildError, Rebuilt, rebuild_accounts
from tests.history import DAY_US, START_US, accrual, add_chain, dated_history, decided, redemption, write
from tests.postgres import Server

MONTH_US = 31 * DAY_US


@pytest.fixture
def other_database(postgres: Server) -> Iterator[str]:
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture
async def ledger(owner: asyncpg.Connection) -> None:
    """Two chains' operations in two partitions, some with a state and a refusal."""
    for name in ("corner-shop", "other-shop"):
        chain_id = await add_chain(owner, name)
        plain = [
            accrual("key-1", 1),
            redemption("key-2", 1, 30, occurred_at_us=START_US + MONTH_US),
            redemption("key-3", 1, 71),
            accrual("key-4", 2),
        ]
        dated = dated_history(chain_id, 3, [START_US + 5 * MONTH_US, START_US + 3 * MONTH_US])
        await write(owner, [*decided(chain_id, plain), *dated])


async def accounts(dsn: str) -> list[asyncpg.Record]:
    """What of them the ledger adds up to."""
    connection = await connect(dsn)
    rows = await connection.fetch(
        "SELECT chain_id, member_id, balance_points, member_sequence, entry_hash, state FROM account"
        " ORDER BY chain_id, member_id"
    )
    await connection.close()
    return list(rows)


async def noted(dsn: str) -> list[int]:
    """The members of whom something is due some time."""
    connection = await connect(dsn)
    rows = await connection.fetch("SELECT member_id FROM due ORDER BY chain_id, member_id")
    await connection.close()
    return [row["member_id"] for row in rows]


@pytest.mark.usefixtures("ledger")
async def test_the_accounts_are_the_same(database: str, other_database: str) -> None:
    progress: list[tuple[int, int]] = []
    rebuilt = await rebuild_accounts(database, other_database, lambda *done: progress.append(done))
    assert rebuilt == Rebuilt(6, 12)
    assert progress == [(6, 6)]
    expected = await accounts(database)
    assert [bool(row["state"]) for row in expected] == [False, False, True] * 2
    assert await accounts(other_database) == expected
    assert await noted(other_database) == [row["member_id"] for row in expected if row["state"]]


async def test_of_an_empty_ledger_nothing_is_made(database: str, other_database: str) -> None:
    assert await rebuild_accounts(database, other_database) == Rebuilt(0, 0)


@pytest.mark.usefixtures("ledger")
async def test_accounts_that_there_are_stay(database: str) -> None:
    before = await accounts(database)
    with pytest.raises(RebuildError, match="has accounts already"):
        await rebuild_accounts(database, database)
    assert await accounts(database) == before


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("is_detached", [False, True])
async def test_without_the_whole_ledger_nothing_is_made(
    *, is_detached: bool, database: str, other_database: str, owner: asyncpg.Connection
) -> None:
    if is_detached:
        await detach_partition(owner, "operation_20260201")
    else:
        await owner.execute("UPDATE operation SET effects = '\\x01' WHERE idempotency_key = 'dated-3-1'")
    with pytest.raises(
        RebuildError, match="member 1 has operation 3 where 2" if is_detached else "effects of"
    ):
        await rebuild_accounts(database, other_database)
    assert await accounts(other_database) == []


async def test_a_partly_migrated_database_is_no_target(database: str, empty_database: str) -> None:
    await migrate(empty_database, to=2)
    with pytest.raises(Exception, match="migrate"):
        await rebuild_accounts(database, empty_database)
