"""One open transaction of several chains: the statements of one chain's, with the chain beside each value."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from asyncpg.pool import PoolConnectionProxy

from processor.domain.batch import Loaded, Wanted, Written
from processor.domain.operation import FOLLOWING_KINDS, Recorded
from storage.array_literals import integers, texts
from storage.partitions import Partitions
from storage.queries import load_queries
from storage.rows import account_columns, accounts_from, cards_from, originals_from, recorded_from
from storage.transaction import OpenTransaction

_SQL: Final = load_queries("shared")

RowsByChain = Mapping[int, list[Sequence[Any]]]


class SharedPostgresTransaction(OpenTransaction):
    """See `SharedTransaction`; all operations go to the partition `home`."""

    def __init__(
        self, connection: PoolConnectionProxy, partitions: Partitions, home: str, *, locking: bool
    ) -> None:
        super().__init__(connection, partitions, locking=locking)
        self._home = home

    async def load(self, wanted: Mapping[int, Wanted]) -> dict[int, Loaded]:
        """As `SharedTransaction.load`."""
        cards = await self._find("find_cards", {chain_id: each.cards for chain_id, each in wanted.items()})
        accounts = await self._read_accounts(
            {
                # A card's row is (card, member_id, status).
                chain_id: {*each.member_ids, *(row[1] for row in cards[chain_id])}
                for chain_id, each in wanted.items()
            }
        )
        recorded = await self._probe(wanted)
        keys = {chain_id: each.original_keys for chain_id, each in wanted.items()}
        originals = await self._find("find_originals", keys)
        following = await self._find("find_followers", keys, FOLLOWING_KINDS)
        return {
            chain_id: Loaded(
                accounts_from(accounts[chain_id]),
                cards_from(cards[chain_id]),
                self._recorded_of(each, recorded[chain_id]),
                self._partitions.start_of(each.window_from_us),
                originals_from(originals[chain_id], following[chain_id]),
                {},
            )
            for chain_id, each in wanted.items()
        }

    async def _read_accounts(self, member_ids: Mapping[int, set[int]]) -> RowsByChain:
        if self._is_locking:
            await self._connection.fetch(_SQL["lock_accounts"], *_columns(member_ids, integers))
        return await self._find("read_accounts", member_ids, literal=integers)

    async def _probe(self, wanted: Mapping[int, Wanted]) -> RowsByChain:
        earliest_us = self._partitions.start_of(min(each.earliest_us for each in wanted.values()))
        keys = {chain_id: each.idempotency_keys for chain_id, each in wanted.items()}
        return await self._find("probe_keys", keys, earliest_us)

    def _recorded_of(self, wanted: Wanted, rows: Sequence[Sequence[Any]]) -> dict[str, list[Recorded]]:
        """Without what is older than its own chain asks for: nobody's replies depend on other chains."""
        earliest_us = self._partitions.start_of(wanted.earliest_us)
        return recorded_from(row for row in rows if row[-1] >= earliest_us)  # the last is occurred_at

    async def _find(
        self,
        statement: str,
        values: Mapping[int, Iterable[object]],
        *others: object,
        literal: Callable[[Iterable[Any]], str] = texts,
    ) -> RowsByChain:
        """The rows of a statement by chain, without it; none are asked for if there are no values."""
        found: defaultdict[int, list[Sequence[Any]]] = defaultdict(list)
        if any(values.values()):
            columns = _columns(values, literal)
            for row in await self._connection.fetch(_SQL[statement], *columns, *others):
                found[row[0]].append(row[1:])
        return found

    async def save(self, written: Mapping[int, Written]) -> None:
        """As `SharedTransaction.save`."""
        in_order = sorted(written.items())
        operations = [row for _, each in in_order for row in each.operations]
        if operations:
            await self._update(in_order)
            await self._copy(self._home, operations)
        dues = [(chain_id, *due) for chain_id, each in in_order for due in set(each.dues)]
        if dues:
            await self._connection.execute(_SQL["note_due"], *zip(*dues, strict=True))

    async def _update(self, in_order: Sequence[tuple[int, Written]]) -> None:
        changes = [(chain_id, change) for chain_id, each in in_order for change in each.accounts]
        chain_ids = integers([chain_id for chain_id, _ in changes])
        columns = account_columns([change for _, change in changes])
        await self._update_accounts(_SQL["update_accounts"], len(changes), chain_ids, *columns)


def _columns(values: Mapping[int, Iterable[Any]], literal: Callable[[Iterable[Any]], str]) -> tuple[str, str]:
    """Chains and values as two arrays, in ascending order."""
    pairs = sorted((chain_id, value) for chain_id, each in values.items() for value in each)
    return integers([chain_id for chain_id, _ in pairs]), literal([value for _, value in pairs])
