"""The accounts, computed again from the rows of the ledger alone, into a database that has none."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

import asyncpg

from processor.domain.account import Account
from processor.domain.maturity import next_due_us
from processor.domain.operation import Operation, account_after
from processor.domain.state import decode_state
from storage.audit import LEDGER_FIELDS, UNDECODABLE
from storage.owner import owner_connection
from storage.queries import load_queries

_SQL: Final = load_queries("rebuild")
_OPERATIONS: Final = load_queries("archive")["operations"].format(name="operation")
_COLUMNS: Final = ("chain_id", "member_id", *LEDGER_FIELDS)
_DUE_COLUMNS: Final = ("chain_id", "due_at", "member_id")
_ROWS_AT_ONCE: Final = 2_000


class RebuildError(Exception):
    """The accounts can't be computed, or not be put there; the text says why and what to change."""


class Rebuilt(NamedTuple):
    """How many accounts there are now, from how many operations."""

    members: int
    operations: int


def _ignore(_done: int, _total: int) -> None:
    pass


async def rebuild_accounts(dsn: str, to: str, on_progress: Callable[[int, int], None] = _ignore) -> Rebuilt:
    """Apply the ledger of one database to the accounts of another, which is migrated and has none.

    Members without operations, cards, segments and closed members are not in the ledger. Memory does not grow
    with it. Both name the login that owns the tables. `on_progress` is told how many of how many members are
    done. Raises RebuildError, StorageUnavailable or SchemaMissingError.
    """
    async with (
        owner_connection(dsn) as source,
        owner_connection(to) as target,
        source.transaction(isolation="repeatable_read", readonly=True),
        target.transaction(),
    ):
        await target.execute(_SQL["lock"])
        if await target.fetchval(_SQL["has_accounts"]):
            raise RebuildError("the database of --to has accounts already: name one that was only migrated")
        await source.execute(_SQL["prepare"])
        total: int = await source.fetchval(_SQL["count_members"])
        return await _copy(_replayed(source), target, lambda done: on_progress(done, total))


async def _copy(
    accounts: AsyncIterator[tuple[int, Account]],
    target: asyncpg.Connection,
    on_progress: Callable[[int], None],
) -> Rebuilt:
    members = operations = 0
    some: list[tuple[int, Account]] = []
    async for chain_id, account in accounts:
        some.append((chain_id, account))
        members += 1
        operations += account.member_sequence
        if len(some) == _ROWS_AT_ONCE:
            await _write(some, target)
            on_progress(members)
            some = []
    await _write(some, target)
    on_progress(members)
    return Rebuilt(members, operations)


async def _write(accounts: Sequence[tuple[int, Account]], target: asyncpg.Connection) -> None:
    """Accounts, and when the next thing of each is due."""
    rows = [(chain_id, *account[: len(_COLUMNS) - 1]) for chain_id, account in accounts]
    await target.copy_records_to_table("account", records=rows, columns=_COLUMNS)
    dues = [
        (chain_id, due_us, account.member_id)
        for chain_id, account in accounts
        if (due_us := next_due_us(decode_state(account.state))) is not None
    ]
    await target.copy_records_to_table("due", records=dues, columns=_DUE_COLUMNS)


async def _replayed(connection: asyncpg.Connection) -> AsyncIterator[tuple[int, Account]]:
    """Every member's chain_id and account, as their operations leave it."""
    chain_id, account = 0, Account(0, 0, 0, b"")
    async for row in connection.cursor(_OPERATIONS, prefetch=_ROWS_AT_ONCE):
        operation = Operation(*row)
        if (operation.chain_id, operation.member_id) != (chain_id, account.member_id):
            if account.member_sequence:
                yield chain_id, account
            chain_id, account = operation.chain_id, Account(operation.member_id, 0, 0, b"")
        account = _after(account, operation)
    if account.member_sequence:
        yield chain_id, account


def _after(account: Account, operation: Operation) -> Account:
    expected = account.member_sequence + 1
    if operation.member_sequence != expected:
        raise RebuildError(
            f"member {operation.member_id} has operation {operation.member_sequence} where {expected}"
            " belongs: attach the partitions that were detached; 'verify' tells what else is wrong"
        )
    try:
        return account_after(account, operation)
    except UNDECODABLE:
        raise RebuildError(
            f"the effects of {operation.idempotency_key} are not what the ledger wrote: 'verify' tells more"
        ) from None
