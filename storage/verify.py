"""Proof of the ledger: every balance, state, sequence and hash chain computed again from the rows."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

import asyncpg

from processor.domain.times import format_us
from storage.audit import Finding
from storage.audit_part import Part, PartReport, audit_part
from storage.audit_processes import audit_in_processes
from storage.directory import find_chain
from storage.findings import Findings, Located
from storage.owner import owner_connection
from storage.queries import load_queries

DIFFERENCES_MAX: Final = 10_000
# Fewer are not worth a process.
PART_OPERATIONS: Final = 50_000
_SQL: Final = load_queries("verify")
_place: Final = itemgetter(0, 1)


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
    dsn: str,
    chain: str | None = None,
    on_progress: Callable[[int, int], None] = _ignore,
    *,
    processes: int = 1,
) -> Report:
    """Check one chain, or all, as they are at this moment; memory does not grow with the ledger.

    Large ledgers are divided among so many processes. The result for all chains is recorded, for the service
    to show. `dsn` names the login that owns the tables. `on_progress` is told how many of how many operations
    are done. Raises StorageUnavailable, SchemaMissingError, AuditProcessError, or DirectoryError if there is
    no such chain.
    """
    async with owner_connection(dsn) as connection:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            chain_id = await find_chain(connection, chain) if chain else None
            report = await _Verification(dsn, connection, chain_id, on_progress).run(processes)
        if chain_id is None:
            await connection.execute(_SQL["record"], report.operations, report.differences_count)
        return report


class _Verification:
    """One pass over one snapshot."""

    def __init__(
        self,
        dsn: str,
        connection: asyncpg.Connection,
        chain_id: int | None,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._dsn = dsn
        self._connection = connection
        self._chain_id = chain_id
        self._on_progress = on_progress
        self._done = 0
        self._total = 0

    async def run(self, processes: int) -> Report:
        await self._connection.execute(_SQL["prepare"])
        [(members, self._total)] = await self._connection.fetch(_SQL["totals"], self._chain_id)
        parts = await self._audit_parts(max(1, min(processes, self._total // PART_OPERATIONS)))
        missing = sum((part.missing for part in parts), Counter[int]())
        detached = await self._detached()
        kinds = (
            [part.of_members for part in parts],
            [await self._check_orphans()],
            [part.of_times for part in parts],
            [await self._check_keys()],
            [_check_detached(detached, missing)],
        )
        return Report(
            members,
            sum(part.operations for part in parts),
            list(islice(_differences(kinds, await self._chain_names()), DIFFERENCES_MAX)),
            sum(findings.count for kind in kinds for findings in kind),
            sum(missing[chain_id] for chain_id in detached),
        )

    async def _audit_parts(self, count: int) -> Sequence[PartReport]:
        parts = [Part(self._chain_id, count, number, DIFFERENCES_MAX) for number in range(count)]
        if count == 1:
            return [await audit_part(self._connection, parts[0], self._tell)]
        snapshot = await self._connection.fetchval(_SQL["share_snapshot"])
        return await audit_in_processes(self._dsn, snapshot, parts, self._tell)

    async def _chain_names(self) -> dict[int, str]:
        rows = await self._connection.fetch(_SQL["chain_names"])
        return {row["chain_id"]: row["name"] for row in rows}

    async def _detached(self) -> dict[int, int]:
        """How many operations of which chain have left the ledger with detached partitions."""
        rows = await self._connection.fetch(_SQL["detached"], self._chain_id)
        return {row["chain_id"]: row["operations"] for row in rows}

    def _tell(self, operations: int) -> None:
        """So many more are done."""
        self._done += operations
        self._on_progress(self._done, self._total)

    async def _check_orphans(self) -> Findings:
        findings = Findings(DIFFERENCES_MAX)
        async for row in self._connection.cursor(_SQL["orphans"], self._chain_id):
            finding = Finding("account", f"one for {row['operations']} operations", "none")
            findings.add(row["chain_id"], row["member_id"], [finding])
        return findings

    async def _check_keys(self) -> Findings:
        findings = Findings(DIFFERENCES_MAX)
        async for row in self._connection.cursor(_SQL["repeated_keys"], self._chain_id):
            times = (format_us(row["earlier_occurred_at"]), format_us(row["later_occurred_at"]))
            what = f"operations with the key {row['idempotency_key']}"
            finding = Finding(what, "one within the window", "those of {} and {}".format(*times))
            findings.add(row["chain_id"], row["member_id"], [finding])
        return findings


def _check_detached(detached: Mapping[int, int], missing: Mapping[int, int]) -> Findings:
    """What is missing must be exactly what was detached."""
    findings = Findings(DIFFERENCES_MAX)
    for chain_id, operations in detached.items():
        if missing[chain_id] != operations:
            what = "operations missing beside the detached"
            findings.add(chain_id, None, [Finding(what, operations, missing[chain_id])])
    return findings


def _differences(kinds: Sequence[Sequence[Findings]], names: Mapping[int, str]) -> Iterator[Difference]:
    """One kind after another, each in the order of chains and members."""
    for kind in kinds:
        for located in merge(*[findings.first for findings in kind], key=_place):
            yield _difference(located, names)


def _difference(located: Located, names: Mapping[int, str]) -> Difference:
    chain_id, member_id, (what, expected, found) = located
    name = names.get(chain_id, str(chain_id))
    return Difference(name, member_id, what, _text(expected), _text(found))


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
