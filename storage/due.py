"""Members whose time has come: who they are, in all chains, and that somebody has seen to them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from storage.errors import DATABASE_ERRORS, translate
from storage.queries import load_queries

_SQL: Final = load_queries("due")


class DueRow(NamedTuple):
    """A member to be looked at; rows sort by their time. `times_noted` grows when it is noted anew."""

    due_at_us: int
    chain_id: int
    member_id: int
    times_noted: int


_BEFORE_ALL: Final = DueRow(0, 0, 0, 0)


class DueTurn:
    """The right to see to those who are due, which one process at a time has; made by `due_turn`."""

    def __init__(self, connection: PoolConnectionProxy) -> None:
        self._connection = connection

    async def read(self, until_us: int, rows_max: int, after: DueRow | None = None) -> list[DueRow]:
        """Rows of all chains that are due at a time, the oldest first, after the row `after`."""
        after = after or _BEFORE_ALL
        rows = await self._connection.fetch(_SQL["read"], until_us, rows_max, *after[:3])
        return [DueRow(*row) for row in rows]

    async def forget(self, rows: Sequence[DueRow]) -> None:
        """Delete exactly these rows; one that was noted anew since it was read stays."""
        by_chain = attrgetter("chain_id")
        for chain_id, of_chain in groupby(sorted(rows, key=by_chain), key=by_chain):
            times_us, _, member_ids, times_noted = zip(*of_chain, strict=True)
            await self._connection.execute(_SQL["forget"], chain_id, times_us, member_ids, times_noted)


@asynccontextmanager
async def due_turn(pool: asyncpg.Pool) -> AsyncIterator[DueTurn | None]:
    """The turn, or None while another process has it.

    It lasts as long as one connection: with that it is lost, and whatever its holder tries then fails. Raises
    the failures of storage.
    """
    try:
        async with pool.acquire() as connection:
            if not await connection.fetchval(_SQL["take_turn"]):
                yield None
                return
            try:
                yield DueTurn(connection)
                await connection.execute(_SQL["end_turn"])
            except BaseException:
                connection.terminate()
                raise
    except DATABASE_ERRORS as error:
        raise translate(error) from error
