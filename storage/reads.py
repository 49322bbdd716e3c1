"""Reads beside the hot path, each one round trip that sees the rows of one chain."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from processor.domain.account import Account
from processor.domain.member import Holder
from processor.domain.operation import Recorded
from processor.domain.outcomes import Outcome
from processor.domain.state import Tally
from storage.errors import DATABASE_ERRORS, translate
from storage.queries import load_queries

_SQL: Final = load_queries("reads")


class PostgresReader:
    """Reads of the ledger in PostgreSQL, on connections of the service's pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def resolve(self, chain_id: int, member_id: int, card: str) -> int | None:
        """As `LedgerReader.resolve`."""
        found = await self.holder(chain_id, member_id, card)
        return found.account.member_id if found else None

    async def holder(self, chain_id: int, member_id: int, card: str) -> Holder | None:
        """As `LedgerReader.holder`."""
        rows = await self._fetch("holder", chain_id, member_id, card)
        if not rows:
            return None
        *account, card_status = rows[0]
        return Holder(Account(*account), card_status)

    async def tallies(self, chain_id: int, subjects: Sequence[str]) -> dict[str, Tally]:
        """As `LedgerReader.tallies`."""
        rows = await self._fetch("tallies", chain_id, subjects)
        return {subject: Tally(0, *numbers) for subject, *numbers in rows}

    async def recorded(self, chain_id: int, idempotency_key: str) -> Recorded | None:
        """As `LedgerReader.recorded`."""
        rows = await self._fetch("recorded", chain_id, idempotency_key)
        return _recorded(*rows[0]) if rows else None

    async def operations(
        self, chain_id: int, member_id: int, before_sequence: int, limit: int
    ) -> list[tuple[int, str, Recorded]]:
        """As `LedgerReader.operations`."""
        rows = await self._fetch("operations", chain_id, member_id, before_sequence, limit)
        return [(sequence, key, _recorded(*columns)) for sequence, key, *columns in rows]

    async def _fetch(self, name: str, *arguments: object) -> list[Any]:
        try:
            return await self._pool.fetch(_SQL[name], *arguments)
        except DATABASE_ERRORS as error:
            raise translate(error) from error


def _recorded(outcome: int, *others: Any) -> Recorded:
    return Recorded(Outcome(outcome), *others)
