"""The hot path's storage: one transaction a batch, a handful of statements, none of them per row."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import groupby
from operator import itemgetter
from time import perf_counter, time_ns
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from processor.domain.account import Account, CardHolder
from processor.domain.batch import AccountChange, Due, Loaded, Wanted, Written
from processor.domain.command import Kind
from processor.domain.failures import BatchConflict, OutcomeUnknown
from processor.domain.operation import FOLLOWING_KINDS, Follower, Operation, Original, Recorded
from processor.domain.outcomes import Outcome
from processor.domain.state import Tally
from storage.errors import CONNECTION_ERRORS, DATABASE_ERRORS, describe, translate
from storage.partitions import Partitions
from storage.queries import load_queries

_SQL: Final = load_queries("ledger")
_HOME_MOVED: Final = "LP001"
_CANCEL_SECONDS: Final = 1.0
_OPERATION_COLUMNS: Final = tuple(name.removesuffix("_us") for name in Operation._fields)


class PostgresLedger:
    """The ledger in PostgreSQL, on connections of the service's pool."""

    def __init__(
        self, pool: asyncpg.Pool, partitions: Partitions, on_commit: Callable[[float], object]
    ) -> None:
        """`on_commit` is told the seconds of every COMMIT."""
        self._pool = pool
        self._partitions = partitions
        self._on_commit = on_commit

    @asynccontextmanager
    async def transaction(
        self, chain_id: int, occurred_at_us: Sequence[int], *, locking: bool
    ) -> AsyncIterator["PostgresTransaction"]:
        """As `LedgerStore.transaction`."""
        async with self._connection() as connection:
            home = await self._begin(connection, chain_id, occurred_at_us)
            try:
                yield PostgresTransaction(connection, chain_id, self._partitions, home, locking=locking)
            except CONNECTION_ERRORS:
                connection.terminate()
                raise
            except BaseException:
                await _roll_back(connection)
                raise
            started = perf_counter()
            await _commit(connection)
            self._on_commit(perf_counter() - started)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnectionProxy]:
        try:
            connection = await self._pool.acquire()
        except DATABASE_ERRORS as error:
            raise translate(error) from error
        try:
            yield connection
        except DATABASE_ERRORS as error:
            raise translate(error) from error
        finally:
            # On a server that has stopped answering, a statement that timed out can't be cancelled either.
            with suppress(TimeoutError):
                await self._pool.release(connection, timeout=_CANCEL_SECONDS)

    async def _begin(
        self, connection: PoolConnectionProxy, chain_id: int, times_us: Sequence[int]
    ) -> str | None:
        """Take the chain's lock: shared if all rows go to the chain's home partition, else alone.

        Returns that partition's name if all rows go there.
        """
        home = await self._partitions.name_for(time_ns() // 1_000)
        if not await self._all_in(home, times_us):
            await connection.execute(_SQL["begin_alone"].format(chain_id=chain_id))
            return None
        try:
            await connection.execute(_SQL["begin_home"].format(chain_id=chain_id, home=home))
        except asyncpg.PostgresError as error:
            await _roll_back(connection)
            if error.sqlstate != _HOME_MOVED:
                raise
            await connection.execute(_SQL["begin_moving_home"].format(chain_id=chain_id, home=home))
        return home

    async def _all_in(self, home: str, times_us: Sequence[int]) -> bool:
        if not times_us:
            return True
        return (
            home
            == await self._partitions.name_for(min(times_us))
            == await self._partitions.name_for(max(times_us))
        )


class PostgresTransaction:
    """One open transaction; see `LedgerTransaction`."""

    def __init__(
        self,
        connection: PoolConnectionProxy,
        chain_id: int,
        partitions: Partitions,
        home: str | None,
        *,
        locking: bool,
    ) -> None:
        self._connection = connection
        self._chain_id = chain_id
        self._partitions = partitions
        self._home = home
        self._is_locking = locking

    async def load(self, wanted: Wanted) -> Loaded:
        """As `LedgerTransaction.load`."""
        tallies = await self._lock_tallies(wanted.subjects) if wanted.subjects else {}
        cards = await self._find_cards(wanted.cards) if wanted.cards else {}
        holders = (holder.member_id for holder in cards.values())
        accounts = await self._read_accounts({*wanted.member_ids, *holders})
        earliest_us, binding_from_us = map(
            self._partitions.start_of, (wanted.earliest_us, wanted.window_from_us)
        )
        recorded = await self._probe(wanted.idempotency_keys, earliest_us)
        originals = await self._find_originals(wanted.original_keys) if wanted.original_keys else {}
        return Loaded(accounts, cards, recorded, binding_from_us, originals, tallies)

    async def _lock_tallies(self, subjects: Sequence[str]) -> dict[str, Tally]:
        rows = await self._connection.fetch(_SQL["lock_tallies"], self._chain_id, subjects)
        return {subject: Tally(0, *numbers) for subject, *numbers in rows}

    async def _find_cards(self, cards: Sequence[str]) -> dict[str, CardHolder]:
        rows = await self._connection.fetch(_SQL["find_cards"], self._chain_id, cards)
        return {card: CardHolder(*holder) for card, *holder in rows}

    async def _read_accounts(self, member_ids: set[int]) -> dict[int, Account]:
        in_order = sorted(member_ids)
        if self._is_locking:
            await self._connection.fetch(_SQL["lock_accounts"], self._chain_id, in_order)
        rows = await self._connection.fetch(_SQL["read_accounts"], self._chain_id, in_order)
        return {row[0]: Account(*row) for row in rows}

    async def _probe(self, keys: Sequence[str], earliest_us: int) -> dict[str, list[Recorded]]:
        rows = await self._connection.fetch(_SQL["probe_keys"], self._chain_id, keys, earliest_us)
        recorded: defaultdict[str, list[Recorded]] = defaultdict(list)
        for key, outcome, *others in rows:
            recorded[key].append(Recorded(Outcome(outcome), *others))
        return recorded

    async def _find_originals(self, keys: Sequence[str]) -> dict[str, list[Original]]:
        """After the accounts: whoever follows an operation meanwhile changes its member's sequence too.

        A key may have been used before, long ago: what followed then is not of the newer operation.
        """
        rows = await self._connection.fetch(_SQL["find_originals"], self._chain_id, keys)
        followers = await self._find_followers(keys)
        originals: defaultdict[str, list[Original]] = defaultdict(list)
        for key, member_id, kind, outcome, *others, own_sequence in rows:
            followed = [each for sequence, each in followers[key, member_id] if sequence > own_sequence]
            original = Original(key, member_id, Kind(kind), Outcome(outcome), *others)
            originals[key].append(original._replace(followers=tuple(followed)))
        return originals

    async def _find_followers(
        self, keys: Sequence[str]
    ) -> defaultdict[tuple[str, int], list[tuple[int, Follower]]]:
        """By the key that they name and their member, with their sequence and in its order."""
        rows = await self._connection.fetch(_SQL["find_followers"], self._chain_id, keys, FOLLOWING_KINDS)
        followers: defaultdict[tuple[str, int], list[tuple[int, Follower]]] = defaultdict(list)
        for key, member_id, sequence, kind, effects in rows:
            followers[key, member_id].append((sequence, Follower(Kind(kind), effects)))
        return followers

    async def enrol(self, cards: Sequence[str]) -> dict[str, Account]:
        """As `LedgerTransaction.enrol`."""
        rows = await self._connection.fetch(_SQL["enrol"], self._chain_id, cards)
        return {card: Account(member_id, 0, 0, b"") for card, member_id in rows}

    async def save(self, written: Written) -> None:
        """As `LedgerTransaction.save`."""
        if written.operations:
            await self._update(sorted(written.accounts))
            await self._append(written.operations)
        if written.dues:
            await self._note(written.dues)
        if written.tallies:
            await self._update_tallies(written.tallies)

    async def confirm(self) -> None:
        """As `LedgerTransaction.confirm`."""
        await self._connection.execute(_SQL["confirm"])

    async def _update(self, changes: Sequence[AccountChange]) -> None:
        columns = zip(*changes, strict=True)
        status = await self._connection.execute(_SQL["update_accounts"], self._chain_id, *columns)
        if status != f"UPDATE {len(changes)}":
            raise BatchConflict("an account changed after it was read")

    async def _note(self, dues: Sequence[Due]) -> None:
        await self._connection.execute(_SQL["note_due"], self._chain_id, *zip(*set(dues), strict=True))

    async def _update_tallies(self, tallies: Mapping[str, Tally]) -> None:
        rows = [(subject, *tally[1:]) for subject, tally in tallies.items()]
        await self._connection.execute(_SQL["update_tallies"], self._chain_id, *zip(*rows, strict=True))

    async def _append(self, operations: Sequence[Operation]) -> None:
        """COPY each operation into its own partition, which spares PostgreSQL the routing of rows."""
        if self._home:
            await self._copy(self._home, operations)
            return
        placed = [(await self._partitions.name_for(row.occurred_at_us), row) for row in operations]
        placed.sort(key=itemgetter(0))
        for partition, rows in groupby(placed, key=itemgetter(0)):
            await self._copy(partition, [row for _, row in rows])

    async def _copy(self, partition: str, operations: Sequence[Operation]) -> None:
        await self._connection.copy_records_to_table(
            partition, records=operations, columns=_OPERATION_COLUMNS
        )


async def _commit(connection: PoolConnectionProxy) -> None:
    """Commit; whatever goes wrong from here on leaves it unknown whether the batch is written for good."""
    warnings: list[str] = []

    def note(_connection: object, message: asyncpg.PostgresLogMessage) -> None:
        if message.severity_en == "WARNING":
            warnings.append(message.message)

    connection.add_log_listener(note)
    try:
        status = await connection.execute("COMMIT")
    except DATABASE_ERRORS as error:
        raise OutcomeUnknown(describe(error)) from error
    finally:
        with suppress(asyncpg.InterfaceError):
            connection.remove_log_listener(note)
    if status != "COMMIT":
        raise BatchConflict(f"PostgreSQL answered COMMIT with {status}")
    if warnings:
        # A wait for a synchronous standby that is broken off ends in a COMMIT with a warning.
        raise OutcomeUnknown("; ".join(warnings))


async def _roll_back(connection: PoolConnectionProxy) -> None:
    """End the transaction; a connection that can't even do that is closed, which ends it too."""
    try:
        await connection.execute("ROLLBACK")
    except DATABASE_ERRORS:
        connection.terminate()
