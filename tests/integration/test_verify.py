"""A ledger that is whole, and every way in which it may not be."""

from collections.abc import Sequence
from functools import reduce

import asyncpg
import pytest

from processor.domain.account import Account
from processor.domain.failures import StorageUnavailable
from processor.domain.operation import Operation, account_after
from processor.domain.outcomes import Outcome
from storage import verify as module
from storage.directory import DirectoryError
from storage.members import Member, add_members
from storage.owner import SchemaMissingError
from storage.partitions import detach_partition
from storage.verify import Difference, Report, verify
from tests.history import (
    COLUMNS,
    DAY_US,
    START_US,
    accrual,
    add_chain,
    dated_history,
    decided,
    redemption,
    write,
)

MONTH_US = 31 * DAY_US


@pytest.fixture
async def chain_id(owner: asyncpg.Connection) -> int:
    return await add_chain(owner, "corner-shop")


@pytest.fixture
async def ledger(owner: asyncpg.Connection, chain_id: int) -> list[Operation]:
    """Two members' operations in three partitions, a refusal among them, and a member without any."""
    operations = decided(
        chain_id,
        [
            accrual("key-1", 1),
            redemption("key-2", 1, 30, occurred_at_us=START_US + MONTH_US),
            redemption("key-3", 1, 71),
            accrual("key-4", 1, occurred_at_us=START_US + 2 * MONTH_US),
            redemption("key-5", 1, 10),
            accrual("key-6", 2),
            accrual("key-7", 2, occurred_at_us=START_US + MONTH_US),
        ],
    )
    await write(owner, operations)
    await add_members(owner, chain_id, [Member(3)])
    return operations


async def found(dsn: str) -> list[tuple[int | None, str, str, str]]:
    """The differences of the one chain."""
    report = await verify(dsn)
    assert {difference.chain for difference in report.differences} <= {"corner-shop"}
    assert len(report.differences) == report.differences_count
    assert report.unchecked == 0
    return [difference[1:] for difference in report.differences]


async def test_a_whole_ledger(database: str, ledger: list[Operation]) -> None:
    assert [Outcome(row.outcome).name for row in ledger[1:3]] == ["APPLIED", "INSUFFICIENT_POINTS"]
    progress: list[tuple[int, int]] = []
    report = await verify(database, on_progress=lambda *done: progress.append(done))
    assert report == Report(3, 7, [], 0, 0)
    assert progress == [(7, 7)]


async def test_the_result_for_all_chains_is_recorded_and_no_other(
    database: str, ledger: list[Operation], owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE account SET balance_points = 0 WHERE member_id = 1")

    for chain in ("corner-shop", None):
        await verify(database, chain)

    recorded = await owner.fetch("SELECT operations, differences, ended_at <= now() FROM verification")
    assert [tuple(row) for row in recorded] == [(len(ledger), 1, True)]


async def test_an_empty_ledger(database: str) -> None:
    assert await verify(database) == Report(0, 0, [], 0, 0)


@pytest.mark.usefixtures("ledger")
async def test_one_chain_of_several(database: str, owner: asyncpg.Connection) -> None:
    other_chain_id = await add_chain(owner, "other-shop")
    await write(owner, decided(other_chain_id, [accrual("key-1", 1)]))
    await owner.execute("UPDATE account SET balance_points = 1 WHERE chain_id = $1", other_chain_id)
    assert await verify(database, "corner-shop") == Report(3, 7, [], 0, 0)
    expected = Difference("other-shop", 1, "balance_points of the account", "100", "1")
    assert await verify(database, "other-shop") == Report(1, 1, [expected], 1, 0)
    assert await verify(database) == Report(4, 8, [expected], 1, 0)
    with pytest.raises(DirectoryError, match="no chain named 'nowhere'"):
        await verify(database, "nowhere")


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "change, expected",
    [
        ("balance_points = 161", ("balance_points of the account", "160", "161")),
        ("entry_hash = '\\x00'", ("entry_hash of the account", None, "00")),
        ("member_sequence = 4", ("member_sequence of the account", "5", "4")),
        ("member_sequence = 7", ("operations of the ledger", "6 to 7", "none")),
    ],
)
async def test_a_changed_account(
    change: str, expected: tuple[str, str | None, str], database: str, owner: asyncpg.Connection
) -> None:
    await owner.execute(f"UPDATE account SET {change} WHERE member_id = 1")  # noqa: S608
    ((member_id, what, wanted, was),) = await found(database)
    assert (member_id, what, expected[1] and wanted, was) == (1, *expected)


@pytest.fixture
async def dated(owner: asyncpg.Connection, chain_id: int) -> list[Operation]:
    """A member with two lots, of which the first is noted."""
    operations = dated_history(chain_id, 5, [START_US + MONTH_US, START_US + 2 * MONTH_US])
    await write(owner, operations)
    await owner.execute("INSERT INTO due VALUES ($1, $2, 5)", chain_id, START_US + MONTH_US)
    return operations


@pytest.mark.usefixtures("dated")
async def test_what_is_not_the_ledgers_is_not_compared(database: str, owner: asyncpg.Connection) -> None:
    await owner.execute("UPDATE account SET segments = 'staff', status = 1")
    assert await found(database) == []


async def test_a_changed_state(database: str, owner: asyncpg.Connection, dated: list[Operation]) -> None:
    state = account_after(Account(5, 0, 0, b""), dated[0]).state
    expected = await owner.fetchval("UPDATE account SET state = $1 RETURNING state", state) and (
        reduce(account_after, dated, Account(5, 0, 0, b"")).state
    )
    assert await found(database) == [(5, "state of the account", expected.hex(), state.hex())]


@pytest.mark.usefixtures("dated")
async def test_a_state_that_is_none(database: str, owner: asyncpg.Connection) -> None:
    await owner.execute("UPDATE account SET state = '\\x01'")
    assert [(what, was) for _, what, _, was in await found(database)] == [
        ("state of the account", "01"),
        ("state of the account", "01"),
    ]


@pytest.mark.usefixtures("dated")
async def test_effects_that_are_none(database: str, owner: asyncpg.Connection) -> None:
    await owner.execute("UPDATE operation SET effects = '\\x01' WHERE idempotency_key = 'dated-5-0'")
    assert [difference[:2] for difference in await found(database)] == [
        (5, "entry_hash of dated-5-0"),
        (5, "effects of dated-5-0"),
    ]


@pytest.mark.usefixtures("dated")
@pytest.mark.parametrize(
    "change, was",
    [
        ("DELETE FROM due", "none"),
        ("UPDATE due SET due_at = due_at + interval '1 day'", "2026-02-02T00:00:00Z"),
    ],
)
async def test_points_that_would_be_forgotten(
    change: str, was: str, database: str, owner: asyncpg.Connection
) -> None:
    await owner.execute(change)
    what = "time noted to look at the account"
    assert await found(database) == [(5, what, "2026-02-01T00:00:00Z or before", was)]


@pytest.mark.usefixtures("dated")
async def test_the_state_is_unknown_after_what_is_missing(database: str, owner: asyncpg.Connection) -> None:
    await detach_partition(owner, "operation_20260101")
    await owner.execute("UPDATE account SET state = ''")
    assert (await verify(database)).differences == []


@pytest.mark.usefixtures("ledger")
async def test_a_balance_without_operations(database: str, owner: asyncpg.Connection) -> None:
    await owner.execute("UPDATE account SET balance_points = 5 WHERE member_id = 3")
    assert await found(database) == [(3, "balance_points of the account", "0", "5")]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "change, balance",
    [
        ("earned_points = earned_points + 1", [("balance_points of key-4", "171", "170")]),
        ("redeemed_points = 1", [("balance_points of key-4", "169", "170")]),
        ("outcome = 1", [("balance_points of key-4", "70", "170")]),
        ("store_id = 'elsewhere'", []),
        ("response = 'other'", []),
        ("recorded_at = recorded_at + interval '1 us'", []),
    ],
)
async def test_a_changed_row(
    change: str,
    balance: Sequence[tuple[str, str, str]],
    database: str,
    owner: asyncpg.Connection,
) -> None:
    await owner.execute(f"UPDATE operation SET {change} WHERE idempotency_key = 'key-4'")  # noqa: S608
    *others, (member_id, what, _, _) = await found(database)
    assert others == [(1, *difference) for difference in balance]
    assert (member_id, what) == (1, "entry_hash of key-4")


@pytest.mark.usefixtures("ledger")
async def test_a_changed_balance_is_found_on_both_sides_of_it(
    database: str, owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE operation SET balance_points = 171 WHERE idempotency_key = 'key-4'")
    assert [difference[:2] for difference in await found(database)] == [
        (1, "balance_points of key-4"),
        (1, "entry_hash of key-4"),
        (1, "balance_points of key-5"),
    ]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "key, member_id, missing", [("key-1", 1, "1 to 1"), ("key-3", 1, "3 to 3"), ("key-7", 2, "2 to 2")]
)
async def test_a_deleted_row(
    key: str, member_id: int, missing: str, database: str, owner: asyncpg.Connection
) -> None:
    await owner.execute("DELETE FROM operation WHERE idempotency_key = $1", key)
    assert await found(database) == [(member_id, "operations of the ledger", missing, "none")]


async def test_swapped_hashes(database: str, owner: asyncpg.Connection, ledger: list[Operation]) -> None:
    for key, other in [("key-3", ledger[3]), ("key-4", ledger[2])]:
        await owner.execute(
            "UPDATE operation SET entry_hash = $1 WHERE idempotency_key = $2", other.entry_hash, key
        )
    differences = await found(database)
    assert [difference[:2] for difference in differences] == [
        (1, "entry_hash of key-3"),
        (1, "entry_hash of key-4"),
        (1, "entry_hash of key-5"),
    ]
    assert differences[0][2:] == (ledger[2].entry_hash.hex(), ledger[3].entry_hash.hex())


@pytest.mark.usefixtures("ledger")
async def test_operations_without_an_account(database: str, owner: asyncpg.Connection) -> None:
    await owner.execute("DELETE FROM account WHERE member_id = 2")
    assert await found(database) == [(2, "account", "one for 2 operations", "none")]


async def test_a_second_row_of_the_same_sequence(
    database: str, owner: asyncpg.Connection, ledger: list[Operation]
) -> None:
    copy = ledger[1]._replace(idempotency_key="key-8")
    await owner.copy_records_to_table("operation", records=[copy], columns=COLUMNS)
    ((member_id, what, expected, was),) = [row for row in await found(database) if "sequence" in row[1]]
    assert (member_id, expected, was) == (1, "3", "2")
    assert what in {"member_sequence of key-2", "member_sequence of key-8"}


@pytest.mark.usefixtures("ledger")
async def test_a_key_used_twice_within_the_window(
    database: str, owner: asyncpg.Connection, chain_id: int
) -> None:
    again = accrual("key-6", 4, occurred_at_us=START_US + 44 * DAY_US)
    await write(owner, decided(chain_id, [again]))
    times = "those of 2026-01-01T00:00:00Z and 2026-02-14T00:00:00Z"
    assert await found(database) == [(4, "operations with the key key-6", "one within the window", times)]


@pytest.mark.usefixtures("ledger")
async def test_a_key_used_again_after_the_window(
    database: str, owner: asyncpg.Connection, chain_id: int
) -> None:
    again = accrual("key-6", 4, occurred_at_us=START_US + 46 * DAY_US)
    await write(owner, decided(chain_id, [again]))
    assert await found(database) == []


@pytest.mark.usefixtures("ledger")
async def test_detached_operations_cannot_be_checked(database: str, owner: asyncpg.Connection) -> None:
    await detach_partition(owner, "operation_20260201")
    assert await verify(database) == Report(3, 5, [], 0, 2)
    await owner.execute("UPDATE operation SET earned_points = 1 WHERE idempotency_key = 'key-5'")
    assert [each.what for each in (await verify(database)).differences] == [
        "balance_points of key-5",
        "entry_hash of key-5",
    ]


@pytest.mark.usefixtures("ledger")
async def test_more_is_missing_than_was_detached(database: str, owner: asyncpg.Connection) -> None:
    await detach_partition(owner, "operation_20260201")
    await owner.execute("DELETE FROM operation WHERE idempotency_key = 'key-3'")
    expected = Difference("corner-shop", None, "operations missing beside the detached", "2", "3")
    assert await verify(database) == Report(3, 4, [expected], 1, 3)


@pytest.mark.usefixtures("ledger")
async def test_the_list_of_differences_is_bounded(
    database: str, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DIFFERENCES_MAX", 2)
    await owner.execute("UPDATE operation SET response = ''")
    report = await verify(database)
    assert (len(report.differences), report.differences_count) == (2, 7)


async def test_a_database_without_tables(empty_database: str) -> None:
    with pytest.raises(SchemaMissingError, match="migrate"):
        await verify(empty_database)


async def test_a_database_that_is_away() -> None:
    with pytest.raises(StorageUnavailable):
        await verify("postgresql://postgres@127.0.0.1:1/nowhere")
