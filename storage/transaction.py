"""One open transaction of a batch: a handful of statements, none of them per row."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, cast

from asyncpg.pool import PoolConnectionProxy

from processor.domain.account import Account, CardHolder
from processor.domain.batch import AccountChange, Due, Loaded, Wanted, Written
from processor.domain.failures import BatchConflict
from processor.domain.operation import FOLLOWING_KINDS, Operation, Original, Recorded
from processor.domain.state import Tally
from storage.array_literals import integers, texts
from storage.copy_format import COPIED_COLUMNS, copy_payloads
from storage.partitions import Partitions
from storage.queries import load_queries
from storage.rows import account_columns, accounts_from, cards_from, originals_from, recorded_from

_SQL: Final = load_queries("ledger")


class OpenTransaction:
    """What transactions of one chain and of several have in common."""

    def __init__(self, connection: PoolConnectionProxy, partitions: Partitions, *, locking: bool) -> None:
        self._connection = connection
        self._partitions = partitions
        self._is_locking = locking

    async def confirm(self) -> None:
        """As `LedgerTransaction.confirm`."""
        await self._connection.execute(_SQL["confirm"])

    async def _update_accounts(self, statement: str, rows: int, *arguments: object) -> None:
        status = await self._connection.execute(statement, *arguments)
        if status != f"UPDATE {rows}":
            raise BatchConflict("an account changed after it was read")

    async def _copy(self, partition: str, operations: Sequence[Operation]) -> None:
        """COPY into the partition itself, which spares PostgreSQL the routing of rows."""
        for payload in copy_payloads(operations):
            await self._connection.copy_to_table(
                partition,
                source=cast("Any", payload),  # its type does not tell that it takes buffers
                columns=COPIED_COLUMNS,
                format="binary",
            )


class PostgresTransaction(OpenTransaction):
    """A transaction of one chain; see `LedgerTransaction`."""

    def __init__(
        self,
        connection: PoolConnectionProxy,
        chain_id: int,
        partitions: Partitions,
        home: str | None,
        *,
        locking: bool,
    ) -> None:
        super().__init__(connection, partitions, locking=locking)
        self._chain_id = chain_id
        self._home = home

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
        return cards_from(await self._connection.fetch(_SQL["find_cards"], self._chain_id, texts(cards)))

    async def _read_accounts(self, member_ids: set[int]) -> dict[int, Account]:
        in_order = integers(sorted(member_ids))
        if self._is_locking:
            await self._connection.fetch(_SQL["lock_accounts"], self._chain_id, in_order)
        return accounts_from(await self._connection.fetch(_SQL["read_accounts"], self._chain_id, in_order))

    async def _probe(self, keys: Sequence[str], earliest_us: int) -> dict[str, list[Recorded]]:
        return recorded_from(
            await self._connection.fetch(_SQL["probe_keys"], self._chain_id, texts(keys), earliest_us)
        )

    async def _find_originals(self, keys: Sequence[str]) -> dict[str, list[Original]]:
        """After the accounts: whoever follows an operation meanwhile changes its member's sequence too."""
        wanted = texts(keys)
        rows = await self._connection.fetch(_SQL["find_originals"], self._chain_id, wanted)
        following = await self._connection.fetch(
            _SQL["find_followers"], self._chain_id, wanted, FOLLOWING_KINDS
        )
        return originals_from(rows, following)

    async def enrol(self, cards: Sequence[str]) -> dict[str, Account]:
        """As `LedgerTransaction.enrol`."""
        rows = await self._connection.fetch(_SQL["enrol"], self._chain_id, cards)
        return {card: Account(member_id, 0, 0, b"") for card, member_id in rows}

    async def save(self, written: Written) -> None:
        """As `LedgerTransaction.save`."""
        if written.operations:
            await self._update(written.accounts)
            await self._append(written.operations)
        if written.dues:
            await self._note(written.dues)
        if written.tallies:
            await self._update_tallies(written.tallies)

    async def _update(self, changes: Sequence[AccountChange]) -> None:
        columns = account_columns(changes)
        await self._update_accounts(_SQL["update_accounts"], len(changes), self._chain_id, *columns)

    async def _note(self, dues: Sequence[Due]) -> None:
        await self._connection.execute(_SQL["note_due"], self._chain_id, *zip(*set(dues), strict=True))

    async def _update_tallies(self, tallies: Mapping[str, Tally]) -> None:
        rows = [(subject, *tally[1:]) for subject, tally in tallies.items()]
        await self._connection.execute(_SQL["update_tallies"], self._chain_id, *zip(*rows, strict=True))

    async def _append(self, operations: Sequence[Operation]) -> None:
        if self._home:
            await self._copy(self._home, operations)
            return
        placed = [(await self._partitions.name_for(row.occurred_at_us), row) for row in operations]
        placed.sort(key=itemgetter(0))
        for partition, rows in groupby(placed, key=itemgetter(0)):
            await self._copy(partition, [row for _, row in rows])
