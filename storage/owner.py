"""The operator's connection: the login that owns the tables, one at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from storage.errors import DATABASE_ERRORS, translate
from storage.pool import connect

Connection = asyncpg.Connection


class SchemaMissingError(Exception):
    """The database has not been migrated."""


@asynccontextmanager
async def owner_connection(dsn: str) -> AsyncIterator[Connection]:
    """Open a connection of the owner; PostgreSQL's errors inside become StorageFailures.

    Raises SchemaMissingError where the tables are not there.
    """
    connection = await connect(dsn)
    try:
        yield connection
    except asyncpg.UndefinedTableError as error:
        raise SchemaMissingError(
            "the database has no tables of this program: run 'loyalty-processor migrate' first"
        ) from error
    except DATABASE_ERRORS as error:
        raise translate(error) from error
    finally:
        connection.terminate()
