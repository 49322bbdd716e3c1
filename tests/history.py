"""Ledgers for tests, by the rules alone: what the service would have recorded, without the service."""

from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import Final

import asyncpg

from processor.domain.account import Account
from processor.domain.command import Command, Kind, Receipt
from processor.domain.decide import decide
from processor.domain.decision import Decision
from processor.domain.effects import Effects, LotChange
from processor.domain.fingerprint import fingerprint
from processor.domain.operation import Operation, account_after, draft_operation, seal
from processor.domain.outcomes import Outcome
from processor.domain.program import Program, Rounding, RoundingScope

DAY_US: Final = 86_400 * 1_000_000
START_US: Final = 1_767_225_600_000_000  # 2026-01-01
PROGRAM: Final = Program(1, 0, 1, 100, Rounding.DOWN, RoundingScope.RECEIPT, 1, 100, 1, 100)
COLUMNS: Final = tuple(name.removesuffix("_us") for name in Operation._fields)


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
        operations.append(recorded(chain_id, account, command, decide(account, command, PROGRAM)))
        accounts[command.member_id] = account_after(account, operations[-1])
    return operations


def recorded(chain_id: int, account: Account, command: Command, decision: Decision) -> Operation:
    """The operation of a command decided so."""
    draft = draft_operation(
        command,
        account,
        decision,
        chain_id=chain_id,
        payload_fingerprint=fingerprint(command),
        program_version=PROGRAM.version,
        recorded_at_us=command.occurred_at_us + 1_000_000,
    )
    return seal(draft, f"reply to {command.idempotency_key}".encode(), account.entry_hash)


def dated_history(chain_id: int, member_id: int, expiries_us: Sequence[int]) -> list[Operation]:
    """The operations of a new member who earns 100 points for each of the times at which they expire."""
    account, operations = Account(member_id, 0, 0, b""), []
    for number, expires_at_us in enumerate(expiries_us):
        command = accrual(f"dated-{member_id}-{number}", member_id, occurred_at_us=START_US + number)
        effects = Effects(lots=(LotChange(0, expires_at_us, 100),))
        decision = Decision(Outcome.APPLIED, earned_points=100, effects=effects)
        operations.append(recorded(chain_id, account, command, decision))
        account = account_after(account, operations[-1])
    return operations


async def write(connection: asyncpg.Connection, operations: Sequence[Operation]) -> None:
    """Append all operations of some members to the ledger and bring their accounts up to them."""
    for operation in operations:
        await connection.execute("SELECT ensure_partition($1)", operation.occurred_at_us)
    await connection.copy_records_to_table("operation", records=operations, columns=COLUMNS)
    in_order = sorted(operations, key=lambda row: (row.chain_id, row.member_id, row.member_sequence))
    for (chain_id, member_id), rows in groupby(in_order, key=lambda row: (row.chain_id, row.member_id)):
        await connection.execute(
            "INSERT INTO account (chain_id, member_id, balance_points, member_sequence, entry_hash, state)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (chain_id, member_id) DO UPDATE SET"
            " (balance_points, member_sequence, entry_hash, state)"
            " = (excluded.balance_points, excluded.member_sequence, excluded.entry_hash, excluded.state)",
            chain_id,
            *reduce(account_after, rows, Account(member_id, 0, 0, b""))[:5],
        )


async def add_chain(connection: asyncpg.Connection, name: str) -> int:
    """A chain of the default window; returns its chain_id."""
    chain_id: int = await connection.fetchval("INSERT INTO chain (name) VALUES ($1) RETURNING chain_id", name)
    return chain_id
