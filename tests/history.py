"""Ledgers for tests, by the rules alone: what the service would have recorded, without the service."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import asyncpg

from processor.domain.account import Account
from processor.domain.command import Command, Kind, Receipt
from processor.domain.decide import decide
from processor.domain.fingerprint import fingerprint
from processor.domain.operation import Operation, account_after, draft_operation, seal
from processor.domain.program import Program, Rounding, RoundingScope

DAY_US: Final = 86_400 * 1_000_000
START_US: Final = 1_767_225_600_000_000  # 2026-01-01
PROGRAM: Final = Program(1, 0, 1, 100, Rounding.DOWN, RoundingScope.RECEIPT, 1, 100, 1, 100)
_COLUMNS: Final = tuple(name.removesuffix("_us") for name in Operation._fields)


def accrual(
    key: str, member_id: int, *, occurred_at_us: int = START_US, total_minor: int = 10_000
) -> Command:
    """A receipt paid with money; it earns a point for each 100 minor units."""
    receipt = Receipt(f"receipt-{key}", total_minor, ())
    return Command(Kind.ACCRUE, key, member_id, "", occurred_at_us, "store-1", "till-1", receipt, 0)


def redemption(key: str, member_id: int, points: int, *, occurred_at_us: int = START_US) -> Command:
    """A receipt of 100,000 minor units, paid with points in part; each is worth 100."""
    receipt = Receipt(f"receipt-{key}", 100_000, ())
    return Command(Kind.REDEEM, key, member_id, "", occurred_at_us, "store-1", "till-1", receipt, points)


def decided(chain_id: int, commands: Sequence[Command]) -> list[Operation]:
    """The operations of new members' commands, in order; each is recorded a second after it occurred."""
    accounts: dict[int, Account] = {}
    operations = []
    for command in commands:
        account = accounts.get(command.member_id, Account(command.member_id, 0, 0, b""))
        decision = decide(account, command, PROGRAM)
        draft = draft_operation(
            command,
            account,
            decision,
            chain_id=chain_id,
            payload_fingerprint=fingerprint(command),
            program_version=PROGRAM.version,
            recorded_at_us=command.occurred_at_us + 1_000_000,
        )
        operations.append(seal(draft, f"reply to {command.idempotency_key}".encode(), account.entry_hash))
        accounts[command.member_id] = account_after(operations[-1])
    return operations


async def write(connection: asyncpg.Connection, operations: Sequence[Operation]) -> None:
    """Append operations to the ledger and bring their members' accounts up to them."""
    for operation in operations:
        await connection.execute("SELECT ensure_partition($1)", operation.occurred_at_us)
    await connection.copy_records_to_table("operation", records=operations, columns=_COLUMNS)
    in_order = sorted(operations, key=lambda row: (row.chain_id, row.member_id, row.member_sequence))
    for (chain_id, _), rows in groupby(in_order, key=lambda row: (row.chain_id, row.member_id)):
        *_, last = rows
        await connection.execute(
            "INSERT INTO account (chain_id, member_id, balance_points, member_sequence, entry_hash)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (chain_id, member_id) DO UPDATE SET"
            " (balance_points, member_sequence, entry_hash)"
            " = (excluded.balance_points, excluded.member_sequence, excluded.entry_hash)",
            chain_id,
            *account_after(last),
        )


async def add_chain(connection: asyncpg.Connection, name: str) -> int:
    """A chain of the default window; returns its chain_id."""
    chain_id: int = await connection.fetchval("INSERT INTO chain (name) VALUES ($1) RETURNING chain_id", name)
    return chain_id
