"""A chain's members and their cards, as an operator adds them."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import asyncpg

from processor.domain.limits import IDENTIFIER_CHARS_MAX, MEMBER_ID_MAX
from storage.queries import load_queries

_SQL: Final = load_queries("members")


class MemberError(Exception):
    """A member cannot be added; the text says which and what to change."""


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
