"""What time does to points without any call: done once, by one process, and never forgotten."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import time_ns
from typing import Final

import asyncpg
import pytest

from processor.app import due_job
from processor.app.due_job import work_off
from processor.batcher import Batcher
from processor.card_book import CardBook
from processor.commit_journal import CommitJournal
from processor.domain.command import Kind
from processor.domain.failures import StorageFailure
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from processor.ledger import Ledger
from processor.metrics import BatcherMetrics, LedgerMetrics
from processor.rpc.encoder import ProtobufEncoder
from storage.cards import PostgresCards
from storage.directory import PostgresDirectory, create_chain
from storage.due import DueRow, due_turn
from storage.ledger import PostgresLedger
from storage.measures import due_lag_seconds
from storage.partitions import Partitions
from storage.pool import open_pool
from storage.verify import verify
from tests.chains import new_chain
from tests.client import Till
from tests.clock import Clock
from tests.history import DAY_US, START_US, dated_history, write
from tests.requests import accrue, adjust, hold
from tests.server import COMMAND, eventually_true, in_thread, launched, started

PAST_US: Final = START_US + DAY_US
FUTURE_US: Final = time_ns() // 1_000 + DAY_US
WAITING: Final[ProgramDocument] = {
    **DEFAULT_PROGRAM,
    "lots": {"pending_days": 14, "expiry": {"after_days": 30}},
}


@pytest.fixture
async def chain_id(owner: asyncpg.Connection) -> int:
    return await create_chain(owner, "corner-shop")


@pytest.fixture
async def wide_pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections for the lanes and for the job beside them."""
    async with await open_pool(database, connections=6, statement_timeout_seconds=10) as opened:
        yield opened


@pytest.fixture
async def batcher(wide_pool: asyncpg.Pool, chain_id: int) -> AsyncIterator[Batcher]:
    """A batcher over the ledger, as a worker has it."""
    directory = PostgresDirectory(wide_pool)
    await directory.refresh()
    assert directory.chain(chain_id)
    ledger = Ledger(
        PostgresLedger(wide_pool, Partitions(wide_pool), on_commit=lambda _: None),
        directory,
        ProtobufEncoder(),
        LedgerMetrics(),
        CommitJournal(None, 2),
        retry_seconds=1,
    )
    batcher = Batcher(
        ledger,
        BatcherMetrics(),
        CardBook(PostgresCards(wide_pool)),
        lanes=2,
        batch_ops_max=100,
        batch_chains_max=10,
        queue_ops_max=1_000,
        queue_bytes_max=2**28,
    )
    batcher.start()
    yield batcher
    await batcher.drain()


async def note(owner: asyncpg.Connection, chain_id: int, *dues: tuple[int, int]) -> None:
    """Note times, as (due_at_us, member_id)."""
    await owner.executemany(
        "INSERT INTO due (chain_id, due_at, member_id) VALUES ($1, $2, $3)",
        [(chain_id, *each) for each in dues],
    )


async def noted(owner: asyncpg.Connection) -> list[tuple[int, int]]:
    """What is noted, as (due_at_us, member_id)."""
    return [tuple(row) for row in await owner.fetch("SELECT due_at, member_id FROM due ORDER BY 1, 2")]


async def go_through(pool: asyncpg.Pool, batcher: Batcher) -> None:
    async with due_turn(pool) as turn:
        assert turn
        await work_off(turn, batcher)


async def add_dated(
    owner: asyncpg.Connection, chain_id: int, member_id: int, expiries_us: Sequence[int]
) -> None:
    """A member with 100 points for each expiry, the first of which is noted."""
    await write(owner, dated_history(chain_id, member_id, expiries_us))
    await note(owner, chain_id, (expiries_us[0], member_id))


# --- the job --------------------------------------------------------------------------------------


async def test_what_is_due_is_done_once_and_the_next_time_is_noted(
    database: str, owner: asyncpg.Connection, wide_pool: asyncpg.Pool, batcher: Batcher, chain_id: int
) -> None:
    await add_dated(owner, chain_id, 1, [PAST_US, PAST_US + 1, FUTURE_US])
    await add_dated(owner, chain_id, 2, [PAST_US])
    await add_dated(owner, chain_id, 3, [FUTURE_US])
    for _ in range(2):
        await go_through(wide_pool, batcher)
    balances = await owner.fetch("SELECT balance_points FROM account ORDER BY member_id")
    assert [row[0] for row in balances] == [100, 0, 100]
    expired = await owner.fetch(
        "SELECT member_id, sum(redeemed_points) FROM operation WHERE kind = $1 GROUP BY 1 ORDER BY 1",
        Kind.EXPIRE,
    )
    assert [tuple(row) for row in expired] == [(1, 200), (2, 100)]
    assert await noted(owner) == [(FUTURE_US, 1), (FUTURE_US, 3)]
    assert (await verify(database)).differences == []


async def test_a_time_that_has_passed_for_nothing_gives_way_to_the_next(
    owner: asyncpg.Connection, wide_pool: asyncpg.Pool, batcher: Batcher, chain_id: int
) -> None:
    await write(owner, dated_history(chain_id, 1, [FUTURE_US]))
    await note(owner, chain_id, (PAST_US, 1))
    await go_through(wide_pool, batcher)
    assert await noted(owner) == [(FUTURE_US, 1)]
    assert await owner.fetchval("SELECT count(*) FROM operation") == 1


async def test_a_member_who_is_no_more_is_forgotten(
    owner: asyncpg.Connection, wide_pool: asyncpg.Pool, batcher: Batcher, chain_id: int
) -> None:
    await note(owner, chain_id, (PAST_US, 99))
    await go_through(wide_pool, batcher)
    assert await noted(owner) == []


async def test_one_that_cannot_be_done_is_left_and_holds_up_nobody(
    owner: asyncpg.Connection,
    wide_pool: asyncpg.Pool,
    batcher: Batcher,
    chain_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(due_job, "_ROWS_AT_ONCE", 2)
    monkeypatch.setattr(due_job, "_PAUSE_SECONDS", 0)
    for member_id in range(1, 8):
        await add_dated(owner, chain_id, member_id, [PAST_US])
    await owner.execute("UPDATE account SET state = '\\x01' WHERE member_id IN (1, 2)")
    await go_through(wide_pool, batcher)
    assert await noted(owner) == [(PAST_US, 1), (PAST_US, 2)]


# --- the turn and the rows --------------------------------------------------------------------------


async def test_one_process_at_a_time_has_the_turn(wide_pool: asyncpg.Pool) -> None:
    async with due_turn(wide_pool) as turn:
        assert turn
        async with due_turn(wide_pool) as other:
            assert other is None
    async with due_turn(wide_pool) as turn:
        assert turn


async def test_the_turn_goes_with_its_connection(wide_pool: asyncpg.Pool, owner: asyncpg.Connection) -> None:
    async def lose_it() -> None:
        async with due_turn(wide_pool) as turn:
            assert turn
            await owner.execute(
                "SELECT pg_terminate_backend(lock.pid, 5000) FROM pg_locks AS lock"
                " INNER JOIN pg_database AS here ON lock.database = here.oid"
                " WHERE lock.locktype = 'advisory' AND here.datname = current_database()"
            )
            async with due_turn(wide_pool) as other:
                assert other
            await turn.read(FUTURE_US, 10)

    with pytest.raises(StorageFailure):
        await lose_it()


async def test_rows_of_all_chains_come_in_pages_the_oldest_first(
    wide_pool: asyncpg.Pool, owner: asyncpg.Connection, chain_id: int
) -> None:
    other_chain_id = await create_chain(owner, "other-shop")
    await note(owner, chain_id, (PAST_US + 1, 1), (PAST_US, 3), (PAST_US, 2), (FUTURE_US, 1))
    await note(owner, other_chain_id, (PAST_US, 1), (PAST_US + 2, 1))
    read: list[DueRow] = []
    async with due_turn(wide_pool) as turn:
        assert turn
        while rows := await turn.read(PAST_US + 2, 2, after=read[-1] if read else None):
            assert len(rows) <= 2
            read += rows
        await turn.forget(read[:3])
    assert [row[:3] for row in read] == [
        (PAST_US, chain_id, 2),
        (PAST_US, chain_id, 3),
        (PAST_US, other_chain_id, 1),
        (PAST_US + 1, chain_id, 1),
        (PAST_US + 2, other_chain_id, 1),
    ]
    assert await noted(owner) == [(PAST_US + 1, 1), (PAST_US + 2, 1), (FUTURE_US, 1)]


async def test_a_row_that_is_noted_anew_after_it_was_read_stays(
    wide_pool: asyncpg.Pool, owner: asyncpg.Connection, chain_id: int
) -> None:
    await note(owner, chain_id, (PAST_US, 1), (PAST_US, 2))
    async with due_turn(wide_pool) as turn:
        assert turn
        rows = await turn.read(PAST_US, 10)
        await owner.execute("UPDATE due SET times_noted = 2 WHERE member_id = 1")
        await turn.forget(rows)
    assert await noted(owner) == [(PAST_US, 1)]


async def test_how_late_the_oldest_is(
    wide_pool: asyncpg.Pool, owner: asyncpg.Connection, chain_id: int
) -> None:
    assert await due_lag_seconds(wide_pool) == 0
    await note(owner, chain_id, (FUTURE_US, 1))
    assert await due_lag_seconds(wide_pool) == 0
    await note(owner, chain_id, (PAST_US, 1))
    lag_seconds = await due_lag_seconds(wide_pool)
    assert 0 < time_ns() / 1e9 - PAST_US / 1e6 - lag_seconds < 60


async def test_points_expire_without_any_call_whichever_worker_sees_to_it(
    database: str, owner: asyncpg.Connection, chain_id: int
) -> None:
    for member_id in range(1, 4):
        await add_dated(owner, chain_id, member_id, [PAST_US])
    started = launched(COMMAND, dsn=database, workers=2, due_interval_seconds=0.1, measure_seconds=1)
    async with in_thread(started) as server:

        async def is_done() -> bool:
            return await noted(owner) == [] and server.metric("loyalty_due_lag_seconds") == 0

        await eventually_true(is_done)
    assert await owner.fetchval("SELECT sum(balance_points) FROM account") == 0
    assert await owner.fetchval("SELECT count(*) FROM operation WHERE kind = $1", Kind.EXPIRE) == 3


async def test_holds_run_out_and_points_become_active_and_expire_without_any_call(
    database: str, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    chain = await new_chain(database, document=WAITING)
    await chain.add_members([1])
    now_us = time_ns() // 1_000
    clock = Clock(tmp_path / "now", now_us)

    async def entries_after(days: int, kinds: list[Kind]) -> None:
        """Put the clock on, and wait until the ledger has just these by the service itself."""
        clock.set(now_us + days * DAY_US)

        async def are_there() -> bool:
            rows = await owner.fetch("SELECT kind FROM operation ORDER BY member_sequence OFFSET 3")
            return [row[0] for row in rows] == kinds

        await eventually_true(are_there)

    server = started(database, workers=1, test_clock=clock.file, due_interval_seconds=0.1)
    async with in_thread(server) as served, Till(served.address, await chain.operator_key()) as till:
        for request in (adjust(1, 50), hold(1, 30), accrue(1, 100_000)):
            assert not (await till.write(request)).reason
        before = await till.balance(1)
        assert (before.available_points, before.held_points, before.pending_points) == (20, 30, 10)
        await entries_after(2, [Kind.RELEASE])
        await entries_after(15, [Kind.RELEASE, Kind.ACTIVATE])
        after = await till.balance(1)
        assert (after.available_points, after.held_points, after.pending_points) == (60, 0, 0)
        await entries_after(40, [Kind.RELEASE, Kind.ACTIVATE, Kind.EXPIRE])
        assert await noted(owner) == []
    assert await owner.fetchval("SELECT balance_points FROM account") == 0
    assert (await verify(database)).differences == []
