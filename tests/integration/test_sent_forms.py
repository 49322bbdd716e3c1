"""What is sent to PostgreSQL in a form of our own arrives as it was."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import pytest

from processor.domain.account import Account
from processor.domain.batch import AccountChange, Written
from processor.domain.command import Kind
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from storage.array_literals import binaries, integers, texts
from storage.copy_format import COPIED_COLUMNS, copy_payloads
from storage.ledger import PostgresLedger
from storage.members import Member, add_members
from storage.partitions import Partitions
from tests.history import COLUMNS, accrual, add_chain, decided

ODD: Final = (
    "",
    "NULL",
    '"',
    "\\",
    '\\"',
    "a,b",
    "{a}",
    " a ",
    "'",
    "日本 🏪",
    "x" * 64,
    "$1",
    "\\x00",
    "a;b",
)
MEMBER_ID: Final = 2**63 - 1


@pytest.mark.parametrize("values", [[], [0], [1, -1, 2**63 - 1, -(2**63)]])
async def test_integers(owner: asyncpg.Connection, values: Sequence[int]) -> None:
    assert await owner.fetchval("SELECT $1::text::bigint[]", integers(values)) == values


@pytest.mark.parametrize("values", [[], *([odd] for odd in ODD), list(ODD)])
async def test_texts(owner: asyncpg.Connection, values: Sequence[str]) -> None:
    assert await owner.fetchval("SELECT $1::text::text[]", texts(values)) == values


@pytest.mark.parametrize("values", [[], [b""], [b"", b"\0\xff", b"", bytes(range(256))]])
async def test_binaries(owner: asyncpg.Connection, values: Sequence[bytes]) -> None:
    assert await owner.fetchval("SELECT $1::text::bytea[]", binaries(values)) == values


def odd_operations(chain_id: int) -> list[Operation]:
    """Of each column with texts the odd ones, of each with bytes none, some and many, and large numbers."""
    commands = [accrual(f"key-{number}", MEMBER_ID) for number in range(len(ODD))]
    return [
        operation._replace(
            store_id=odd,
            terminal_id=f"{odd} of a terminal",
            receipt_id=f"{odd} of a receipt",
            original_key=f"{odd} of an original",
            reason=f"{odd} of a reason",
            receipt_lines=f"{odd} of lines" * 40,
            earned_points=number,
            redeemed_points=2**40 + number,
            balance_points=-(2**50) - number,
            redeemed_minor=2**30 + number,
            kind=Kind(1 + number % 9),
            outcome=Outcome.INSUFFICIENT_POINTS if number % 2 else Outcome.APPLIED,
            effects=bytes(number),
            response=bytes(number * 100),
            total_minor=2**62 + number,
            discount_minor=-number,
        )
        for number, (odd, operation) in enumerate(zip(ODD, decided(chain_id, commands), strict=True))
    ]


async def save(pool: asyncpg.Pool, operations: Sequence[Operation]) -> None:
    after = Account(MEMBER_ID, 0, len(operations), operations[-1].entry_hash)
    times_us = [operation.occurred_at_us for operation in operations]
    ledger = PostgresLedger(pool, Partitions(pool), on_commit=lambda _: None)
    async with ledger.transaction(operations[0].chain_id, times_us, locking=False) as transaction:
        await transaction.save(Written(operations, [AccountChange(after, 0)], [], {}))


async def saved(owner: asyncpg.Connection) -> list[Operation]:
    rows = await owner.fetch(f"SELECT {', '.join(COLUMNS)} FROM operation ORDER BY member_sequence")  # noqa: S608 - ours
    return [Operation._make(row) for row in rows]


@pytest.fixture
async def chain_id(owner: asyncpg.Connection) -> int:
    chain_id = await add_chain(owner, "corner-shop")
    await add_members(owner, chain_id, [Member(MEMBER_ID, "card")])
    return chain_id


async def test_rows(owner: asyncpg.Connection, pool: asyncpg.Pool, chain_id: int) -> None:
    operations = odd_operations(chain_id)
    await save(pool, operations)
    assert await saved(owner) == operations


async def test_rows_that_are_sent_in_parts(
    owner: asyncpg.Connection, pool: asyncpg.Pool, chain_id: int
) -> None:
    operations = [row._replace(receipt_lines="x" * 200_000) for row in odd_operations(chain_id)]
    assert len(list(copy_payloads(operations))) > 2
    await save(pool, operations)
    assert await saved(owner) == operations


def test_no_column_is_forgotten() -> None:
    assert sorted(COPIED_COLUMNS) == sorted(COLUMNS)
