"""What an operator's gauges show of the database, each asked for by itself."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from storage.errors import DATABASE_ERRORS, translate
from storage.queries import load_queries

# Reading every account may take longer than what calls wait for.
_OUTSTANDING_SECONDS_MIN: Final = 60.0
_SQL: Final = load_queries("measures")


class Outstanding(NamedTuple):
    """What each chain owes its members, by its name; `measured_at_seconds` is in unix time."""

    measured_at_seconds: float
    points_by_chain: dict[str, int]


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


class Standbys(NamedTuple):
    """`streaming` is None where some do and the owner of the tables may not see how."""

    streaming: list[Standby] | None
    sync_wanted: int


class Verification(NamedTuple):
    """What a `verify` of all chains found; `ended_at_seconds` is in unix time."""

    ended_at_seconds: float
    operations: int
    differences: int


async def measure_outstanding(pool: asyncpg.Pool, age_seconds_max: float) -> Outstanding | None:
    """What is owed, as far as possible not longer ago than that; None before the first measuring.

    Of all processes that ask, one at a time reads the accounts. Raises the failures of storage.
    """
    seconds_max = max(age_seconds_max, _OUTSTANDING_SECONDS_MIN)
    async with _connection(pool) as connection, connection.transaction():
        await connection.execute(_SQL["allow_time"], f"{seconds_max * 1000:.0f}")
        row = await connection.fetchrow(_SQL["outstanding"], age_seconds_max, timeout=seconds_max + 1)
    return Outstanding(row[0], json.loads(row[1])) if row else None


async def table_sizes(pool: asyncpg.Pool) -> list[TableSize]:
    """The tables that grow. Raises the failures of storage."""
    async with _connection(pool) as connection:
        return [TableSize(*row) for row in await connection.fetch(_SQL["table_sizes"])]


async def standbys(pool: asyncpg.Pool) -> Standbys:
    """Who follows this server, and how many COMMIT waits for. Raises the failures of storage."""
    async with _connection(pool) as connection:
        rows = await connection.fetch(_SQL["standbys"])
        wanted = await connection.fetchval(_SQL["sync_standbys_wanted"])
    is_hidden = any(row["is_sync"] is None for row in rows)
    return Standbys(None if is_hidden else [Standby(*row) for row in rows], wanted)


async def due_lag_seconds(pool: asyncpg.Pool) -> float:
    """For how long what is due has not been done to members' points. Raises the failures of storage."""
    async with _connection(pool) as connection:
        seconds: float = await connection.fetchval(_SQL["due_lag_seconds"])
        return seconds


async def last_verification(pool: asyncpg.Pool) -> Verification | None:
    """The newest result, None if there is none. Raises the failures of storage."""
    async with _connection(pool) as connection:
        row = await connection.fetchrow(_SQL["last_verification"])
        return Verification(*row) if row else None


@asynccontextmanager
async def _connection(pool: asyncpg.Pool) -> AsyncIterator[PoolConnectionProxy]:
    try:
        async with pool.acquire() as connection:
            yield connection
    except DATABASE_ERRORS as error:
        raise translate(error) from error
