"""What an operator's gauges show of the database."""

from typing import Final, NamedTuple

import asyncpg

from storage.errors import DATABASE_ERRORS, translate
from storage.queries import load_queries

_SQL: Final = load_queries("measures")


class TableSize(NamedTuple):
    """A table with all of its partitions."""

    name: str
    partitions: int
    table_bytes: int
    index_bytes: int
    dead_rows: int


class Standby(NamedTuple):
    """A server that streams from this one."""

    name: str
    replay_lag_seconds: float
    is_sync: bool


class Verification(NamedTuple):
    """What a `verify` of all chains found; `ended_at_seconds` is in unix time."""

    ended_at_seconds: float
    operations: int
    differences: int


class Measures(NamedTuple):
    """The database at one moment; `outstanding_points` is by the chain's name.

    `due_lag_seconds` is for how long what should have been done to members' points has not been.
    """

    outstanding_points: dict[str, int]
    tables: list[TableSize]
    standbys: list[Standby]
    sync_standbys_wanted: int
    due_lag_seconds: float
    last_verification: Verification | None


async def measure(pool: asyncpg.Pool) -> Measures:
    """Ask PostgreSQL; it reads every account once. Raises the failures of storage."""
    try:
        async with pool.acquire() as connection:
            outstanding = await connection.fetch(_SQL["outstanding_points"])
            tables = await connection.fetch(_SQL["table_sizes"])
            standbys = await connection.fetch(_SQL["standbys"])
            wanted = await connection.fetchval(_SQL["sync_standbys_wanted"])
            due_lag_seconds = await connection.fetchval(_SQL["due_lag_seconds"])
            verification = await connection.fetchrow(_SQL["last_verification"])
    except DATABASE_ERRORS as error:
        raise translate(error) from error
    return Measures(
        {chain: int(points) for chain, points in outstanding},
        [TableSize(*row) for row in tables],
        [Standby(*row) for row in standbys],
        wanted,
        due_lag_seconds,
        Verification(*verification) if verification else None,
    )
