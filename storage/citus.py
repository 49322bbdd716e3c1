"""Spreads the tables of a database over the nodes of its Citus cluster, by chain."""

from typing import Final

import asyncpg

from storage.migrate import MigrationError, owner_of_schema, take_turn
from storage.queries import load_queries

DISTRIBUTED: Final = ("account", "card", "operation")
_SQL: Final = load_queries("citus")
_STEPS: Final = ("prepare", "distribute_accounts", "distribute_cards", "distribute_operations", "finish")


async def distribute(dsn: str) -> bool:
    """Distribute DISTRIBUTED, with the rows they have; False if they were before.

    All or nothing. `dsn` names the coordinator and the login that owns the tables. Nobody may be served
    meanwhile. Raises MigrationError or StorageUnavailable.
    """
    async with owner_of_schema(dsn) as connection:
        await take_turn(connection)
        if not await connection.fetchval(_SQL["is_installed"]):
            raise MigrationError(
                "the database has no Citus: run CREATE EXTENSION citus on every node, add the workers to"
                " the coordinator, then repeat"
            )
        if await connection.fetchval(_SQL["is_distributed"]):
            return False
        await _distribute(connection)
        return True


async def _distribute(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        for step in _STEPS:
            await connection.execute(_SQL[step])
