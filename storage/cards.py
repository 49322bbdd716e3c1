"""Whose cards these are, and what becomes of a card: added, blocked, unblocked, replaced."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import asyncpg

from processor.domain.account import CardStatus
from processor.domain.limits import IDENTIFIER_CHARS_MAX
from storage.errors import DATABASE_ERRORS, translate
from storage.members import MemberError
from storage.queries import load_queries

_SQL: Final = load_queries("cards")

# A connection of the owner, or of the service; or its pool.
Connection: TypeAlias = asyncpg.Connection | asyncpg.Pool


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


class Card(NamedTuple):
    """A card, or a phone number in E.164."""

    card: str
    member_id: int
    status: CardStatus


async def add_card(connection: Connection, chain_id: int, member_id: int, card: str) -> Card:
    """Give a member a card; one that the member has already stays as it is. Raises MemberError."""
    try:
        [added] = await _fetch(connection, "add", chain_id, member_id, card)
    except asyncpg.ForeignKeyViolationError:
        raise MemberError(f"there is no member {member_id}: add it with 'member add'") from None
    except asyncpg.CheckViolationError:
        raise MemberError(f"a card has 1 to {IDENTIFIER_CHARS_MAX} characters, not {len(card)}") from None
    if added.member_id != member_id:
        raise MemberError(f"card {card} belongs to member {added.member_id}: name another card")
    return added


async def set_card_status(connection: Connection, chain_id: int, card: str, status: CardStatus) -> Card:
    """Block a card or unblock it; again is no error. Raises MemberError if it is replaced or nobody's."""
    found = await _fetch(connection, "set_status", chain_id, card, status)
    if not found:
        raise MemberError(f"there is no card {card}")
    if found[0].status != status:
        raise MemberError(f"card {card} was replaced: it stays so")
    return found[0]


async def replace_card(connection: Connection, chain_id: int, old_card: str, new_card: str) -> Card:
    """Give the member of a card another one in its place, at once; returns the new one.

    The old one is of no more use. The same once more is no error. Raises MemberError.
    """
    if old_card == new_card:
        raise MemberError(f"card {old_card} can't be replaced by itself: name another card")
    try:
        cards = await _fetch(connection, "replace", chain_id, old_card, new_card)
    except asyncpg.CheckViolationError:
        raise MemberError(f"a card has 1 to {IDENTIFIER_CHARS_MAX} characters, not {len(new_card)}") from None
    by_name = {card.card: card for card in cards}
    old, new = by_name.get(old_card), by_name.get(new_card)
    if old is None:
        raise MemberError(f"there is no card {old_card}")
    if new is None:
        raise MemberError(f"card {old_card} was replaced before, by another card than {new_card}")
    if new.member_id != old.member_id:
        raise MemberError(f"card {new_card} belongs to member {new.member_id}: name another card")
    if old.status is not CardStatus.REPLACED:
        raise MemberError(f"card {new_card} is {new.status.name.lower()}: name another card")
    return new


async def cards_of(connection: asyncpg.Connection, chain_id: int, member_id: int) -> list[Card]:
    """All cards of a member, replaced ones included."""
    return await _fetch(connection, "of_member", chain_id, member_id)


async def _fetch(connection: Connection, name: str, *arguments: object) -> list[Card]:
    rows = await connection.fetch(_SQL[name], *arguments)
    return [Card(card, member_id, CardStatus(status)) for card, member_id, status in rows]
