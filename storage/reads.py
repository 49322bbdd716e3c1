"""Reads beside the hot path, each one round trip that sees the rows of one chain."""

from typing import Any, Final

import asyncpg

from processor.domain.account import Account
from processor.domain.operation import Recorded
from processor.domain.outcomes import Outcome
from storage.errors import DATABASE_ERRORS, translate
from storage.queries import load_queries

_SQL: Final = load_queries("reads")


class PostgresReader:
    """Reads of the ledger in PostgreSQL, on connections of the service's pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def resolve(self, chain_id: int, member_id: int, card: str) -> int | None:
        """As `LedgerReader.resolve`."""
        found = await self.account(chain_id, member_id, card)
        return found.member_id if found else None

    async def account(self, chain_id: int, member_id: int, card: str) -> Account | None:
        """As `LedgerReader.account`."""
        rows = await self._fetch("account", chain_id, member_id, card)
        return Account(*rows[0]) if rows else None

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
