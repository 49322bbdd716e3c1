"""The ledger as `program simulate` reads it: member by member, in order, of one moment."""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import asyncpg

from processor.domain.command import Kind
from processor.domain.simulation import SIMULATED_KINDS, Recorded
from storage.queries import load_queries

_SQL: Final = load_queries("simulation")
_PREPARE: Final = load_queries("verify")["prepare"]
_ROWS_AT_ONCE: Final = 2_000
_KINDS: Final = sorted(SIMULATED_KINDS)


class MemberHistory(NamedTuple):
    """What a member has done; `segments` are names between commas."""

    member_id: int
    segments: str
    operations: list[Recorded]


async def count_history(connection: asyncpg.Connection, chain_id: int, since_us: int) -> int:
    """How many operations `member_histories` will give."""
    total: int = await connection.fetchval(_SQL["count"], chain_id, since_us, _KINDS)
    return total


async def member_histories(
    connection: asyncpg.Connection, chain_id: int, since_us: int
) -> AsyncIterator[MemberHistory]:
    """Members with what they did from a time on (occurred_at), within a transaction of the caller's."""
    await connection.execute(_PREPARE)
    history: MemberHistory | None = None
    cursor = connection.cursor(_SQL["history"], chain_id, since_us, _KINDS, prefetch=_ROWS_AT_ONCE)
    async for member_id, segments, kind, *rest in cursor:
        if history is None or history.member_id != member_id:
            if history:
                yield history
            history = MemberHistory(member_id, segments, [])
        history.operations.append(Recorded(Kind(kind), *rest))
    if history:
        yield history
