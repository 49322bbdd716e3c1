"""What the service has of storage while it runs: its pools, and what it knows by heart from them."""

import asyncio
from functools import partial
from typing import Final, NamedTuple

import asyncpg

from storage.directory import PostgresDirectory
from storage.partitions import Partitions
from storage.pool import open_pool
from storage.schema import Schema, check_schema

_CLOSE_SECONDS: Final = 2.0


class ConnectionCounts(NamedTuple):
    """The pools' connections at one moment."""

    used: int
    idle: int


class OpenStorage:
    """Made by `open_storage`, ended by `close`."""

    def __init__(self, pool: asyncpg.Pool, read_pool: asyncpg.Pool, schema: Schema) -> None:
        """`read_pool` is for what callers read: however much they do, nobody else waits for a connection."""
        self.pool = pool
        self.read_pool = read_pool
        self.schema = schema
        self._pools = (pool, read_pool)
        self.directory = PostgresDirectory(pool)
        self.partitions = Partitions(pool)

    async def load(self) -> None:
        """Read the directory and the list of partitions. Raises the failures of storage."""
        await self.directory.refresh()
        await self.partitions.load()

    def count_connections(self) -> ConnectionCounts:
        """How many there are now."""
        idle = sum(pool.get_idle_size() for pool in self._pools)
        return ConnectionCounts(sum(pool.get_size() for pool in self._pools) - idle, idle)

    async def renew(self) -> None:
        """Have every connection replaced before its next use: the primary may be another server now."""
        for pool in self._pools:
            await pool.expire_connections()

    async def close(self) -> None:
        """Close the connections; those still in use after a moment are cut."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(*(pool.close() for pool in self._pools))
        except TimeoutError:
            self.terminate()

    def terminate(self) -> None:
        """Cut the connections."""
        for pool in self._pools:
            pool.terminate()


async def open_storage(
    dsn: str, *, connections: int, read_connections: int, statement_timeout_seconds: float
) -> OpenStorage:
    """Check the schema, connect, and read what must be known before the first call.

    Raises the failures of storage; SchemaUnsuitable among them.
    """
    schema = await check_schema(dsn)
    open_one = partial(open_pool, dsn, statement_timeout_seconds=statement_timeout_seconds)
    pool = await open_one(connections=connections)
    try:
        storage = OpenStorage(pool, await open_one(connections=read_connections), schema)
    except BaseException:
        pool.terminate()
        raise
    try:
        await storage.load()
    except BaseException:
        storage.terminate()
        raise
    return storage
