"""Some of the members, whose accounts and times are computed again from the rows of the ledger."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

import asyncpg

from processor.domain.account import Account
from processor.domain.operation import Operation
from storage.audit import MemberAudit, check_due
from storage.findings import Findings
from storage.queries import load_queries

_SQL: Final = load_queries("verify")
_ACCOUNT_END: Final = 1 + len(Account._fields)  # the first column is the chain's
_ROWS_AT_ONCE: Final = 2_000


class Part(NamedTuple):
    """The members that fall to `number` of so many `parts`: of one chain, or of all if it is None.

    At most `findings_max` of each kind are kept.
    """

    chain_id: int | None
    parts: int
    number: int
    findings_max: int

    @property
    def members(self) -> tuple[int | None, int, int]:
        """Which these are, as the statements ask for it."""
        return self.chain_id, self.parts, self.number


class PartReport(NamedTuple):
    """What was read and found; `missing` are the operations that are not there, by chain.

    Each of the findings are in the order of chains and members.
    """

    operations: int
    missing: Counter[int]
    of_members: Findings
    of_times: Findings


async def audit_part(
    connection: asyncpg.Connection, part: Part, on_operations: Callable[[int], None]
) -> PartReport:
    """Check every row of these members, in the snapshot that the connection has.

    `on_operations` is told again and again how many more are done.
    """
    await connection.execute(_SQL["prepare"])
    members = _Members(await _chains_with_gaps(connection, part.chain_id), Findings(part.findings_max))
    async for rows in _rows(connection, _SQL["members"], part):
        on_operations(members.take(rows))
    members.finish()
    of_times = await _check_times(connection, part)
    return PartReport(members.operations, members.missing, members.findings, of_times)


async def _chains_with_gaps(connection: asyncpg.Connection, chain_id: int | None) -> frozenset[int]:
    """Those of which operations have left the ledger with detached partitions."""
    return frozenset(row["chain_id"] for row in await connection.fetch(_SQL["detached"], chain_id))


async def _check_times(connection: asyncpg.Connection, part: Part) -> Findings:
    """Points must not be forgotten that time is to change."""
    findings = Findings(part.findings_max)
    async for rows in _rows(connection, _SQL["earliest_dues"], part):
        for chain_id, member_id, state, due_us in rows:
            findings.add(chain_id, member_id, check_due(state, due_us))
    return findings


async def _rows(
    connection: asyncpg.Connection, statement: str, part: Part
) -> AsyncIterator[Sequence[asyncpg.Record]]:
    cursor = await connection.cursor(statement, *part.members)
    while rows := await cursor.fetch(_ROWS_AT_ONCE):
        yield rows


class _Members:
    """Takes accounts with their operations, one member after another."""

    def __init__(self, chains_with_gaps: frozenset[int], findings: Findings) -> None:
        self.findings = findings
        self.missing: Counter[int] = Counter()
        self.operations = 0
        self._chains_with_gaps = chains_with_gaps
        self._chain_id = 0
        self._account = Account(0, 0, 0, b"")
        self._audit = MemberAudit(0, gaps_allowed=False)

    def take(self, rows: Sequence[asyncpg.Record]) -> int:
        """Check some rows; returns how many of them are operations."""
        before = self.operations
        for row in rows:
            if row[1] != self._account.member_id or row[0] != self._chain_id:
                self.finish()
                self._begin(row)
            if row[_ACCOUNT_END] is not None:
                self._check(Operation._make(row[_ACCOUNT_END:]))
        return self.operations - before

    def finish(self) -> None:
        """The member has no more operations."""
        self.findings.add(self._chain_id, self._account.member_id, self._audit.check_account(self._account))
        self.missing[self._chain_id] += self._audit.missing

    def _begin(self, row: asyncpg.Record) -> None:
        self._chain_id = row[0]
        self._account = Account._make(row[1:_ACCOUNT_END])
        gaps_allowed = self._chain_id in self._chains_with_gaps
        self._audit = MemberAudit(self._account.member_id, gaps_allowed=gaps_allowed)

    def _check(self, operation: Operation) -> None:
        self.operations += 1
        self.findings.add(self._chain_id, self._account.member_id, self._audit.check_operation(operation))
