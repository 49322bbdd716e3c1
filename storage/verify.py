"""Proof of the ledger: every balance, state, sequence and hash chain computed again from the rows."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import asyncpg

from processor.domain.account import Account
from processor.domain.operation import Operation
from processor.domain.times import format_us
from storage.audit import Finding, MemberAudit, check_due
from storage.directory import find_chain
from storage.owner import owner_connection
from storage.queries import load_queries

DIFFERENCES_MAX: Final = 10_000
_SQL: Final = load_queries("verify")
_ACCOUNT_END: Final = 1 + len(Account._fields)  # the first column is the chain's
_ROWS_AT_ONCE: Final = 2_000


class Difference(NamedTuple):
    """One thing that is not as the ledger says; `member_id` is None if it concerns the chain as a whole."""

    chain: str
    member_id: int | None
    what: str
    expected: str
    found: str


class Report(NamedTuple):
    """What was checked and what was found, the first DIFFERENCES_MAX of `differences_count`.

    `unchecked` operations have left the ledger with detached partitions.
    """

    members: int
    operations: int
    differences: list[Difference]
    differences_count: int
    unchecked: int


def _ignore(_done: int, _total: int) -> None:
    pass


async def verify(
    dsn: str, chain: str | None = None, on_progress: Callable[[int, int], None] = _ignore
) -> Report:
    """Check one chain, or all, as they are at this moment; memory does not grow with the ledger.

    The result for all is recorded, for the service to show.
    `dsn` names the login that owns the tables. `on_progress` is told how many of how many operations are
    done. Raises StorageUnavailable, SchemaMissingError, or DirectoryError if there is no such chain.
    """
    async with owner_connection(dsn) as connection:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            chain_id = await find_chain(connection, chain) if chain else None
            report = await _Verification(connection, chain_id, on_progress).run()
        if chain_id is None:
            await connection.execute(_SQL["record"], report.operations, report.differences_count)
        return report


class _Verification:
    """One pass over one snapshot."""

    def __init__(
        self, connection: asyncpg.Connection, chain_id: int | None, on_progress: Callable[[int, int], None]
    ) -> None:
        self._connection = connection
        self._chain_id = chain_id
        self._on_progress = on_progress
        self._chain_names: dict[int, str] = {}
        self._detached: dict[int, int] = {}
        self._missing: Counter[int] = Counter()
        self._members = 0
        self._operations = 0
        self._differences: list[Difference] = []
        self._differences_count = 0

    async def run(self) -> Report:
        await self._connection.execute(_SQL["prepare"])
        names = await self._connection.fetch(_SQL["chain_names"])
        self._chain_names = {row["chain_id"]: row["name"] for row in names}
        detached = await self._connection.fetch(_SQL["detached"], self._chain_id)
        self._detached = {row["chain_id"]: row["operations"] for row in detached}
        await self._check_members()
        await self._check_orphans()
        await self._check_dues()
        await self._check_keys()
        self._check_detached()
        return Report(
            self._members,
            self._operations,
            self._differences,
            self._differences_count,
            sum(self._missing[chain_id] for chain_id in self._detached),
        )

    async def _check_members(self) -> None:
        total: int = await self._connection.fetchval(_SQL["count_operations"], self._chain_id)
        current: tuple[int, Account] | None = None
        audit = MemberAudit(0, gaps_allowed=False)
        async for row in self._connection.cursor(_SQL["members"], self._chain_id, prefetch=_ROWS_AT_ONCE):
            chain_id, member_id = row[0], row[1]
            if current is None or current[0] != chain_id or current[1].member_id != member_id:
                self._finish_member(current, audit)
                current = chain_id, Account(*row[1:_ACCOUNT_END])
                audit = MemberAudit(member_id, gaps_allowed=chain_id in self._detached)
            if row[_ACCOUNT_END] is not None:
                operation = Operation(*row[_ACCOUNT_END:])
                self._report(chain_id, member_id, audit.check_operation(operation))
                self._count_operation(total)
        self._finish_member(current, audit)
        self._on_progress(self._operations, total)

    def _finish_member(self, member: tuple[int, Account] | None, audit: MemberAudit) -> None:
        if member is None:
            return
        chain_id, account = member
        self._report(chain_id, account.member_id, audit.check_account(account))
        self._missing[chain_id] += audit.missing
        self._members += 1

    def _count_operation(self, total: int) -> None:
        self._operations += 1
        if self._operations % _ROWS_AT_ONCE == 0:
            self._on_progress(self._operations, total)

    async def _check_orphans(self) -> None:
        async for row in self._connection.cursor(_SQL["orphans"], self._chain_id):
            finding = Finding("account", f"one for {row['operations']} operations", "none")
            self._report(row["chain_id"], row["member_id"], [finding])

    async def _check_dues(self) -> None:
        """Points must not be forgotten that time is to change."""
        rows = self._connection.cursor(_SQL["earliest_dues"], self._chain_id, prefetch=_ROWS_AT_ONCE)
        async for row in rows:
            self._report(row["chain_id"], row["member_id"], check_due(row["state"], row["due_at"]))

    async def _check_keys(self) -> None:
        async for row in self._connection.cursor(_SQL["repeated_keys"], self._chain_id):
            times = (format_us(row["earlier_occurred_at"]), format_us(row["later_occurred_at"]))
            what = f"operations with the key {row['idempotency_key']}"
            finding = Finding(what, "one within the window", "those of {} and {}".format(*times))
            self._report(row["chain_id"], row["member_id"], [finding])

    def _check_detached(self) -> None:
        """What is missing must be exactly what was detached."""
        for chain_id, detached in self._detached.items():
            if (missing := self._missing[chain_id]) != detached:
                finding = Finding("operations missing beside the detached", detached, missing)
                self._report(chain_id, None, [finding])

    def _report(self, chain_id: int, member_id: int | None, findings: Iterable[Finding]) -> None:
        for what, expected, found in findings:
            self._differences_count += 1
            if len(self._differences) < DIFFERENCES_MAX:
                name = self._chain_names.get(chain_id, str(chain_id))
                self._differences.append(Difference(name, member_id, what, _text(expected), _text(found)))


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
