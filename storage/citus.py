"""Spreads the tables of a database over the nodes of its Citus cluster, by chain."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from storage.migrate import MigrationError, owner_of_schema, take_turn
from storage.queries import load_queries

# What the transactions of a chain touch, which so have one node; the others lie beside the first.
DISTRIBUTED: Final = ("account", "card", "operation", "due", "tally")
# What is small, cached, or of no chain.
ON_COORDINATOR: Final = (
    "api_key",
    "chain",
    "chain_home",
    "detached_partition",
    "directory_revision",
    "outstanding",
    "partitioning",
    "program",
    "schema_migration",
    "verification",
)
_SQL: Final = load_queries("citus")


async def distribute(dsn: str) -> bool:
    """Distribute those of DISTRIBUTED that are not yet, with the rows they have; False if all are.

    All or nothing. `dsn` names the coordinator and the login that owns the tables. Nobody may be served
    meanwhile. Raises MigrationError or StorageUnavailable.
    """
    async with owner_of_schema(dsn) as connection:
        await take_turn(connection)
        return await distribute_over(connection)


async def distribute_over(connection: asyncpg.Connection) -> bool:
    """As `distribute`, over a connection of the owner."""
    if not await connection.fetchval(_SQL["is_installed"]):
        raise MigrationError(
            "the database has no Citus: run CREATE EXTENSION citus on every node, add the workers to"
            " the coordinator, then repeat"
        )
    before = {row[0] for row in await connection.fetch(_SQL["distributed"])}
    missing = [table for table in DISTRIBUTED if table not in before]
    if missing:
        await _distribute(connection, missing)
    return bool(missing)


async def _distribute(connection: asyncpg.Connection, tables: Sequence[str]) -> None:
    first = DISTRIBUTED[0]
    async with connection.transaction():
        await connection.execute(_SQL["prepare"])
        for table in tables:
            neighbour = "default" if table == first else first
            await connection.execute(_SQL["distribute"].format(table=table, neighbour=neighbour))
        await connection.execute(_SQL["finish"])
