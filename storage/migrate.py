"""The schema's migrations: numbered `.sql` files, applied in order, once, each in its own transaction.

A file that says so is applied to each partition of the ledger instead, outside a transaction.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

import asyncpg

from storage.errors import CONNECTION_ERRORS, describe
from storage.owner import owner_connection
from storage.pool import SERVICE_ROLE
from storage.queries import load_queries

_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_FOR_EACH_PARTITION: Final = "-- For each partition, outside a transaction:\n"
_QUERIES: Final = load_queries("migrate")
_TURN_TIMEOUT: Final = "5min"
# A statement that waits for a lock makes everyone behind it wait too, so it gives up soon and tries again.
_LOCK_TIMEOUT: Final = "5s"
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 1.0


class MigrationError(Exception):
    """The database cannot be migrated; the text is one line that says why and what to do."""


class Migration(NamedTuple):
    """One file; `sha256` is the hexadecimal digest of its text."""

    version: int
    name: str
    sha256: str
    sql: str

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations that this program knows, the oldest first."""
    names = sorted(file.name for file in files("storage").joinpath("migrations").iterdir())
    return tuple(_read(match) for name in names if (match := _FILE.fullmatch(name)))


def _read(name: re.Match[str]) -> Migration:
    text = files("storage").joinpath("migrations", name[0]).read_text("utf-8")
    return Migration(int(name[1]), name[2], sha256(text.encode()).hexdigest(), text)


def _ignore(_: Migration) -> None:
    pass


async def migrate(
    dsn: str, *, to: int | None = None, on_step: Callable[[Migration], None] = _ignore
) -> list[Migration]:
    """Bring the database of `dsn` up to version `to` (the newest if None) and return what was applied.

    `dsn` names the login that owns the tables. `on_step` is called after each. Processes that migrate at once
    take turns. Raises MigrationError or StorageUnavailable.
    """
    newest = migrations()[-1].version
    wanted = newest if to is None else to
    if not 0 <= wanted <= newest:
        raise MigrationError(f"there is no migration {wanted}: name a version from 0 to {newest}")
    async with owner_of_schema(dsn) as connection:
        await take_turn(connection)
        await connection.execute(_QUERIES["create_history"])
        steps = [step for step in await _pending(connection) if step.version <= wanted]
        for step in steps:
            await _apply_patiently(connection, step)
            on_step(step)
    return steps


async def pending(dsn: str) -> list[Migration]:
    """What `migrate` would apply. Raises MigrationError or StorageUnavailable."""
    async with owner_of_schema(dsn) as connection:
        return await _pending(connection)


@asynccontextmanager
async def owner_of_schema(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for changing the schema. Raises MigrationError if its login may not."""
    async with owner_connection(dsn) as connection:
        try:
            yield connection
        except asyncpg.InsufficientPrivilegeError as error:
            raise MigrationError(
                f"{describe(error)}: migrate with a login that owns the database and may create roles"
                f" (or that somebody has granted {SERVICE_ROLE})"
            ) from error


async def take_turn(connection: asyncpg.Connection) -> None:
    """Wait until nobody else changes the schema, and keep others from it. Raises MigrationError."""
    await connection.execute(f"SET lock_timeout = '{_TURN_TIMEOUT}'")
    try:
        await connection.execute(_QUERIES["take_turn"])
    except asyncpg.LockNotAvailableError as error:
        raise MigrationError(
            f"another process has been migrating this database for {_TURN_TIMEOUT}:"
            " let it finish, then repeat"
        ) from error


async def _pending(connection: asyncpg.Connection) -> list[Migration]:
    if not await connection.fetchval(_QUERIES["history_exists"]):
        return list(migrations())
    applied = await connection.fetch(_QUERIES["history"])
    check_history(applied)
    return list(migrations()[len(applied) :])


def check_history(applied: Sequence[asyncpg.Record]) -> None:
    """Refuse a history that is not the beginning of this program's. Raises MigrationError."""
    known = {step.version: step for step in migrations()}
    for row in applied:
        step = known.get(row["version"])
        if step is None:
            raise MigrationError(
                f"the database is at version {applied[-1]['version']} and this program knows"
                f" {migrations()[-1].version}: use a newer program"
            )
        if (step.name, step.sha256) != (row["name"], row["sha256"]):
            raise MigrationError(
                f"migration {row['version']:04}_{row['name']} is not the file that was applied"
                " (its checksum differs): restore that file, or use the program that applied it"
            )


async def _apply_patiently(connection: asyncpg.Connection, step: Migration) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await _apply(connection, step)
        except asyncpg.LockNotAvailableError as error:
            if attempt == _ATTEMPTS:
                raise MigrationError(
                    f"migration {step} found its tables locked {_ATTEMPTS} times for {_LOCK_TIMEOUT}:"
                    " end the long transactions, or repeat when the service is less busy"
                ) from error
        except (*CONNECTION_ERRORS, asyncpg.InsufficientPrivilegeError):
            raise
        except asyncpg.PostgresError as error:
            raise MigrationError(f"migration {step} failed: {describe(error)}") from error
        await asyncio.sleep(_PAUSE_SECONDS)
    raise AssertionError


async def _apply(connection: asyncpg.Connection, step: Migration) -> None:
    if step.sql.startswith(_FOR_EACH_PARTITION):
        await _apply_to_partitions(connection, step)
        return
    async with connection.transaction():
        await connection.execute(_QUERIES["enter_step"], _LOCK_TIMEOUT)
        await connection.execute(step.sql)
        await _record(connection, step)


async def _apply_to_partitions(connection: asyncpg.Connection, step: Migration) -> None:
    """Run each statement by itself; what was broken off is run again from the beginning."""
    for row in await connection.fetch(_QUERIES["partitions"]):
        for statement in step.sql.rstrip(";\n").split(";\n"):
            await connection.execute(statement.format(partition=row["name"]))
    await _record(connection, step)


async def _record(connection: asyncpg.Connection, step: Migration) -> None:
    await connection.execute(_QUERIES["record"], step.version, step.name, step.sha256)
