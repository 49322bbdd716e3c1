"""Whose cards these are, beside the hot path."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from storage.errors import DATABASE_ERRORS, translate
from storage.queries import load_queries

_SQL: Final = load_queries("cards")


class PostgresCards:
    """Implements `processor.ports.CardReader` over the service's pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def members_by_card(self, chain_id: int, cards: Sequence[str]) -> dict[str, int]:
        """As `CardReader.members_by_card`."""
        try:
            rows = await self._pool.fetch(_SQL["members_by_card"], chain_id, cards)
        except DATABASE_ERRORS as error:
            raise translate(error) from error
        return dict(map(tuple, rows))
