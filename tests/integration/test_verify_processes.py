"""A ledger that is checked by several processes: the report is that of one, and of one moment."""

import asyncio
import multiprocessing
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from processor.domain.failures import StorageFailure, StorageUnavailable
from processor.domain.operation import Operation
from storage import verify as module
from storage.audit_part import Part, PartReport
from storage.audit_processes import AuditProcessError, audit_in_processes
from storage.members import Member, add_members
from storage.owner import owner_connection
from storage.queries import load_queries
from storage.verify import Report, verify
from tests.command import run_command
from tests.history import START_US, accrual, add_chain, dated_history, decided, write

SHARE_SNAPSHOT = load_queries("verify")["share_snapshot"]
PARTS = [Part(None, 2, number, 100) for number in range(2)]
MEMBERS = range(1, 21)
# Of these a third each has changed rows, a changed account, and no rows any more.
DAMAGED = range(1, 16)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_OPERATIONS", 1)


@pytest.fixture
async def ledger(owner: asyncpg.Connection) -> list[Operation]:
    """Two chains with as many members, some of them without operations."""
    operations = []
    for name in ("corner-shop", "other-shop"):
        chain_id = await add_chain(owner, name)
        commands = [accrual(f"key-{number}", member) for member in MEMBERS for number in (member, -member)]
        operations += decided(chain_id, commands)
        operations += dated_history(chain_id, 30, [START_US])
        await owner.execute("INSERT INTO due VALUES ($1, $2, 30)", chain_id, START_US)
        await add_members(owner, chain_id, map(Member, range(100, 110)))
    await write(owner, operations)
    return operations


@pytest.fixture
async def damaged(owner: asyncpg.Connection, ledger: list[Operation]) -> None:
    await owner.execute("UPDATE operation SET response = 'other' WHERE member_id = ANY($1)", DAMAGED[::3])
    await owner.execute("UPDATE account SET balance_points = 1 WHERE member_id = ANY($1)", DAMAGED[1::3])
    await owner.execute("DELETE FROM operation WHERE member_id = ANY($1)", DAMAGED[2::3])
    await owner.execute("UPDATE account SET balance_points = 5 WHERE member_id = 100")
    await owner.execute("DELETE FROM account WHERE member_id = 20")
    await owner.execute("DELETE FROM due")


def ignore(_operations: int) -> None:
    """Nobody asks how many are done."""


@pytest.mark.parametrize("processes", [2, 3])
async def test_a_whole_ledger(database: str, ledger: list[Operation], processes: int) -> None:
    progress: list[tuple[int, int]] = []

    report = await verify(database, on_progress=lambda *done: progress.append(done), processes=processes)

    assert report == Report(62, len(ledger), [], 0, 0)
    assert progress[-1] == (len(ledger), len(ledger))
    assert progress == sorted(progress)


@pytest.mark.usefixtures("damaged")
async def test_the_differences_are_those_that_one_process_finds(database: str) -> None:
    expected = await verify(database)

    assert {each.what.partition(" ")[0] for each in expected.differences} == {
        *("entry_hash", "balance_points", "operations", "account", "time")
    }
    assert await verify(database, processes=3) == expected
    assert await verify(database, "other-shop", processes=2) == await verify(database, "other-shop")


@pytest.mark.usefixtures("damaged")
async def test_the_first_differences_are_those_of_all_processes(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DIFFERENCES_MAX", 3)

    assert await verify(database, processes=2) == await verify(database)


def test_the_command_divides_the_members_as_it_is_told(
    database: str,
    ledger: list[Operation],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts: list[Part] = []

    async def note(dsn: str, snapshot: str, some: Sequence[Part], *others: Any) -> Sequence[PartReport]:
        parts.extend(some)
        return await audit_in_processes(dsn, snapshot, some, *others)

    monkeypatch.setattr(module, "audit_in_processes", note)
    ended = run_command(capsys, "verify", "--processes", 2, "--dsn", database)

    assert ended.out == f"62 members and {len(ledger)} operations: 0 differences.\n"
    assert [part.number for part in parts] == [0, 1]


async def test_processes_see_the_moment_at_which_it_began(
    database: str, owner: asyncpg.Connection, ledger: list[Operation]
) -> None:
    async with (
        owner_connection(database) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        snapshot = await connection.fetchval(SHARE_SNAPSHOT)
        await owner.execute("UPDATE account SET balance_points = 1")
        await owner.execute("DELETE FROM operation WHERE member_id = 1")
        reports = await audit_in_processes(database, snapshot, PARTS, ignore)

    assert sum(report.operations for report in reports) == len(ledger)
    assert all(0 < report.operations < len(ledger) for report in reports)
    assert [report.of_members.first for report in reports] == [[], []]


async def test_a_moment_that_is_over_is_refused(database: str) -> None:
    with pytest.raises(StorageFailure, match="snapshot"):
        await audit_in_processes(database, "00000003-0000001B-1", PARTS, ignore)


async def test_a_database_that_is_away() -> None:
    with pytest.raises(StorageUnavailable):
        await audit_in_processes("postgresql://postgres@127.0.0.1:1/nowhere", "1", PARTS, ignore)


async def test_a_process_that_is_killed_is_told(database: str, owner: asyncpg.Connection) -> None:
    async with owner.transaction():
        await owner.execute("LOCK TABLE account")  # so that no part comes to its end
        snapshot = await owner.fetchval(SHARE_SNAPSHOT)
        auditing = asyncio.create_task(audit_in_processes(database, snapshot, PARTS, ignore))
        await asyncio.sleep(0)  # it starts them at once
        multiprocessing.active_children()[0].kill()
        with pytest.raises(AuditProcessError):
            await auditing

    assert multiprocessing.active_children() == []
