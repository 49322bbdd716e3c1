"""What the service has of storage while it runs: the pool, and what it knows by heart from it."""

import asyncio
from typing import Final, NamedTuple

import asyncpg

from storage.directory import PostgresDirectory
from storage.partitions import Partitions
from storage.pool import open_pool
from storage.schema import Schema, check_schema

_CLOSE_SECONDS: Final = 2.0


class ConnectionCounts(NamedTuple):
    """The pool's connections at one moment."""

    used: int
    idle: int


class OpenStorage:
    """Made by `open_storage`, ended by `close`."""

    def __init__(self, pool: asyncpg.Pool, schema: Schema) -> None:
        self.pool = pool
        self.schema = schema
        self.directory = PostgresDirectory(pool)
        self.partitions = Partitions(pool)

    async def load(self) -> None:
        """Read the directory and the list of partitions. Raises the failures of storage."""
        await self.directory.refresh()
        await self.partitions.load()

    def count_connections(self) -> ConnectionCounts:
        """How many there are now."""
        idle = self.pool.get_idle_size()
        return ConnectionCounts(self.pool.get_size() - idle, idle)

    async def renew(self) -> None:
        """Have every connection replaced before its next use: the primary may be another server now."""
        await self.pool.expire_connections()

    async def close(self) -> None:
        """Close the connections; those still in use after a moment are cut."""
        try:
            await asyncio.wait_for(self.pool.close(), _CLOSE_SECONDS)
        except TimeoutError:
            self.pool.terminate()


async def open_storage(dsn: str, *, connections: int, statement_timeout_seconds: float) -> OpenStorage:
    """Check the schema, connect, and read what must be known before the first call.

    Raises the failures of storage; SchemaUnsuitable among them.
    """
    schema = await check_schema(dsn)
    pool = await open_pool(dsn, connections=connections, statement_timeout_seconds=statement_timeout_seconds)
    storage = OpenStorage(pool, schema)
    try:
        await storage.load()
    except BaseException:
        pool.terminate()
        raise
    return storage
