"""A chain's members, as an operator adds, closes and sorts them."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import asyncpg

from processor.domain.account import Account, MemberStatus
from processor.domain.limits import IDENTIFIER_CHARS_MAX, MEMBER_ID_MAX
from storage.queries import load_queries

_MISSING_SHOWN: Final = 5
_SQL: Final = load_queries("members")


class MemberError(Exception):
    """What was asked for cannot be done to a member or a card; the text says why and what to change."""


class Member(NamedTuple):
    """A member with one of their cards ("" for none); name a member once for each card."""

    member_id: int
    card: str = ""


class Added(NamedTuple):
    """How many were new. `taken_cards` belong to another member already and stay with that one."""

    members: int
    cards: int
    taken_cards: int


async def add_members(connection: asyncpg.Connection, chain_id: int, members: Iterable[Member]) -> Added:
    """Add members and cards, all or none; those that exist stay as they are. Raises MemberError."""
    try:
        async with connection.transaction():
            await connection.execute(_SQL["create_incoming"])
            await connection.copy_records_to_table("incoming", records=members)
            added = Added(
                await connection.fetchval(_SQL["add_accounts"], chain_id),
                await connection.fetchval(_SQL["add_cards"], chain_id),
                await connection.fetchval(_SQL["count_taken_cards"], chain_id),
            )
            if added.members:
                await connection.execute(_SQL["analyse_accounts"])
            return added
    except (asyncpg.CheckViolationError, asyncpg.DataError, OverflowError) as error:
        raise MemberError(
            f"a member_id is 1 to {MEMBER_ID_MAX} and a card at most {IDENTIFIER_CHARS_MAX} characters:"
            f" {getattr(error, 'detail', None) or error}"
        ) from error


async def count_members(connection: asyncpg.Connection) -> dict[str, int]:
    """How many members each chain has, by the chain's name."""
    return {row["name"]: row["members"] for row in await connection.fetch(_SQL["count_members"])}


async def enrol_member(connection: asyncpg.Connection | asyncpg.Pool, chain_id: int, card: str) -> int:
    """Add a member with a card and give it a number, which is returned. Raises MemberError.

    Of a connection of the service too.
    """
    try:
        member_id: int = await connection.fetchval(_SQL["enrol"], chain_id, card)
    except asyncpg.UniqueViolationError:
        raise MemberError(f"card {card} belongs to a member already: name another card") from None
    return member_id


async def find_member(connection: asyncpg.Connection, chain_id: int, member_id: int) -> Account:
    """The member's account. Raises MemberError if there is no such member."""
    row = await connection.fetchrow(_SQL["find"], chain_id, member_id)
    if row is None:
        raise MemberError(f"there is no member {member_id}: add it with 'member add'")
    return Account(*row)


async def set_member_status(
    connection: asyncpg.Connection, chain_id: int, member_id: int, status: MemberStatus
) -> None:
    """Close or reopen a member; again is no error. Raises MemberError."""
    if await connection.fetchval(_SQL["set_status"], chain_id, member_id, status) is None:
        raise MemberError(f"there is no member {member_id}")


async def set_segments(
    connection: asyncpg.Connection, chain_id: int, segments: Mapping[int, AbstractSet[str]]
) -> int:
    """Put members, by their numbers, into these segments and no others; returns how many are changed.

    All or none. Raises MemberError.
    """
    texts = [",".join(sorted(names)) for names in segments.values()]
    async with connection.transaction():
        # In the order in which batches lock them.
        found = await connection.fetch(_SQL["lock"], chain_id, sorted(segments))
        if missing := segments.keys() - {row["member_id"] for row in found}:
            raise MemberError(_told_missing(sorted(missing)))
        changed = await connection.fetch(_SQL["set_segments"], chain_id, list(segments), texts)
    return len(changed)


def _told_missing(member_ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, member_ids[:_MISSING_SHOWN]))
    hidden = len(member_ids) - _MISSING_SHOWN
    return f"there is no member {shown}" + (f" (and {hidden:,} more are missing)" if hidden > 0 else "")
