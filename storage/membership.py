"""Members and their cards, as the service changes and reads them for tills."""

from typing import Any, Final

import asyncpg

from processor.domain.account import CardHolder, CardStatus
from processor.domain.failures import BatchConflict
from processor.domain.member import Member, MemberCard
from storage.errors import DATABASE_ERRORS, translate
from storage.queries import load_queries

_SQL: Final = load_queries("membership")


class PostgresMembers:
    """Implements `processor.ports.MemberStore`, on connections of the service's pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def member(self, chain_id: int, member_id: int, card: str) -> Member | None:
        """As `MemberStore.member`."""
        rows = await self._fetch("member", chain_id, member_id, card)
        if not rows:
            return None
        found_id, status, segments, *_ = rows[0]
        # A member without cards has one row, with nothing in the card's columns.
        cards = [MemberCard(card, card_status) for *_, card, card_status in rows if card]
        return Member(found_id, status, segments, tuple(cards))

    async def enrol(self, chain_id: int, card: str) -> CardHolder:
        """As `MemberStore.enrol`."""
        found = await self._holder(chain_id, card)
        if found:
            return found
        try:
            [(_, member_id)] = await self._fetch("enrol", chain_id, [card])
        except BatchConflict:
            # Somebody else was quicker with this card.
            return await self.enrol(chain_id, card)
        return CardHolder(member_id)

    async def add_card(self, chain_id: int, member_id: int, card: str) -> CardHolder:
        """As `MemberStore.add_card`."""
        [row] = await self._fetch("add_card", chain_id, member_id, card)
        return CardHolder(*row)

    async def replace_card(
        self, chain_id: int, old: str, new: str
    ) -> tuple[CardHolder | None, CardHolder | None]:
        """As `MemberStore.replace_card`."""
        rows = await self._fetch("replace_card", chain_id, old, new)
        holders = {card: CardHolder(*holder) for card, *holder in rows}
        return holders.get(old), holders.get(new)

    async def set_card_status(self, chain_id: int, card: str, status: CardStatus) -> CardHolder | None:
        """As `MemberStore.set_card_status`."""
        rows = await self._fetch("set_card_status", chain_id, card, status)
        return CardHolder(*rows[0]) if rows else None

    async def _holder(self, chain_id: int, card: str) -> CardHolder | None:
        rows = await self._fetch("holders", chain_id, [card])
        return CardHolder(*rows[0][1:]) if rows else None

    async def _fetch(self, name: str, *arguments: object) -> list[Any]:
        try:
            return await self._pool.fetch(_SQL[name], *arguments)
        except DATABASE_ERRORS as error:
            raise translate(error) from error
