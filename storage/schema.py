"""Whether the database has the schema of this program, asked with the login of the service."""

from typing import Final, NamedTuple

import asyncpg

from processor.domain.failures import StorageFailure
from storage.migrate import MigrationError, check_history, migrations
from storage.owner import owner_connection
from storage.pool import SERVICE_ROLE
from storage.queries import load_queries

_SQL: Final = load_queries("migrate")


class SchemaUnsuitable(StorageFailure):
    """The schema is not the one that this program needs; the text says why and what to do."""


class Schema(NamedTuple):
    """The newest migration of a database, and the newest that this program knows."""

    applied_version: int
    known_version: int

    @property
    def is_newer(self) -> bool:
        """Whether a newer program has migrated the database, as one does in a rolling upgrade."""
        return self.applied_version > self.known_version


async def check_schema(dsn: str) -> Schema:
    """Return the schema if this program can serve on it. Raises SchemaUnsuitable or StorageUnavailable."""
    newest = migrations()[-1].version
    async with owner_connection(dsn) as connection:
        applied = await _history(connection)
    if applied is None or len(applied) < newest:
        found = "an older migration" if applied is None else f"migration {len(applied)}"
        raise SchemaUnsuitable(
            f"the database is at {found} and this program needs {newest}: run loyalty-processor migrate"
        )
    try:
        check_history(applied[:newest])
    except MigrationError as error:
        raise SchemaUnsuitable(str(error)) from error
    return Schema(applied[-1]["version"], newest)


async def _history(connection: asyncpg.Connection) -> list[asyncpg.Record] | None:
    """What was applied, the oldest first; None if it is so old that the service may not read it yet."""
    if not await connection.fetchval(_SQL["history_exists"]):
        return []
    if not await connection.fetchval(_SQL["history_readable"]):
        await connection.execute(f"SET ROLE {SERVICE_ROLE}")
    try:
        return list(await connection.fetch(_SQL["history"]))
    except asyncpg.InsufficientPrivilegeError:
        return None
