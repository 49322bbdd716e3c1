"""The hot path's storage: one transaction a batch, begun under the lock of each of its chains."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter, time_ns
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from processor.domain.failures import BatchConflict, HomeMoved, OutcomeUnknown
from processor.domain.home import Home
from storage.errors import CONNECTION_ERRORS, DATABASE_ERRORS, describe, translate
from storage.partitions import Partitions
from storage.queries import load_queries
from storage.shared_transaction import SharedPostgresTransaction
from storage.transaction import PostgresTransaction

_SQL: Final = load_queries("ledger")
_SHARED_SQL: Final = load_queries("shared")
_HOME_MOVED: Final = "LP001"
_CANCEL_SECONDS: Final = 1.0


class PostgresLedger:
    """The ledger in PostgreSQL, on connections of the service's pool."""

    def __init__(
        self, pool: asyncpg.Pool, partitions: Partitions, on_commit: Callable[[float], object]
    ) -> None:
        """`on_commit` is told the seconds of every COMMIT."""
        self._pool = pool
        self._partitions = partitions
        self._on_commit = on_commit

    @asynccontextmanager
    async def transaction(
        self, chain_id: int, occurred_at_us: Sequence[int], *, locking: bool
    ) -> AsyncIterator[PostgresTransaction]:
        """As `LedgerStore.transaction`."""
        async with self._connection() as connection:
            home = await self._begin(connection, chain_id, occurred_at_us)
            async with self._ending(connection):
                yield PostgresTransaction(connection, chain_id, self._partitions, home, locking=locking)

    async def home(self) -> Home:
        """As `LedgerStore.home`."""
        return await self._partitions.home()

    @asynccontextmanager
    async def shared_transaction(
        self, chain_ids: Sequence[int], home: Home, *, locking: bool
    ) -> AsyncIterator[SharedPostgresTransaction]:
        """As `LedgerStore.shared_transaction`."""
        async with self._connection() as connection:
            await _begin_shared(connection, chain_ids, home.name)
            async with self._ending(connection):
                yield SharedPostgresTransaction(connection, self._partitions, home.name, locking=locking)

    @asynccontextmanager
    async def _ending(self, connection: PoolConnectionProxy) -> AsyncIterator[None]:
        """Commit what has begun, or roll it back if an error comes."""
        try:
            yield
        except CONNECTION_ERRORS:
            connection.terminate()
            raise
        except BaseException:
            await _roll_back(connection)
            raise
        started = perf_counter()
        await _commit(connection)
        self._on_commit(perf_counter() - started)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnectionProxy]:
        try:
            connection = await self._pool.acquire()
        except DATABASE_ERRORS as error:
            raise translate(error) from error
        try:
            yield connection
        except DATABASE_ERRORS as error:
            raise translate(error) from error
        finally:
            # On a server that has stopped answering, a statement that timed out can't be cancelled either.
            with suppress(TimeoutError):
                await self._pool.release(connection, timeout=_CANCEL_SECONDS)

    async def _begin(
        self, connection: PoolConnectionProxy, chain_id: int, times_us: Sequence[int]
    ) -> str | None:
        """Take the chain's lock: shared if all rows go to the chain's home partition, else alone.

        Returns that partition's name if all rows go there.
        """
        home = await self._partitions.name_for(time_ns() // 1_000)
        if not await self._all_in(home, times_us):
            await connection.execute(_SQL["begin_alone"].format(chain_id=chain_id))
            return None
        try:
            await connection.execute(_SQL["begin_home"].format(chain_id=chain_id, home=home))
        except asyncpg.PostgresError as error:
            await _roll_back(connection)
            if error.sqlstate != _HOME_MOVED:
                raise
            await connection.execute(_SQL["begin_moving_home"].format(chain_id=chain_id, home=home))
        return home

    async def _all_in(self, home: str, times_us: Sequence[int]) -> bool:
        if not times_us:
            return True
        return (
            home
            == await self._partitions.name_for(min(times_us))
            == await self._partitions.name_for(max(times_us))
        )


async def _begin_shared(connection: PoolConnectionProxy, chain_ids: Sequence[int], home: str) -> None:
    """Take the locks of the chains, shared. Raises HomeMoved."""
    begin = _SHARED_SQL["begin_homes"].format(chain_ids=", ".join(map(str, chain_ids)), home=home)
    try:
        await connection.execute(begin)
    except asyncpg.PostgresError as error:
        await _roll_back(connection)
        if error.sqlstate != _HOME_MOVED:
            raise
        raise HomeMoved(describe(error)) from error


async def _commit(connection: PoolConnectionProxy) -> None:
    """Commit; whatever goes wrong from here on leaves it unknown whether the batch is written for good."""
    warnings: list[str] = []

    def note(_connection: object, message: asyncpg.PostgresLogMessage) -> None:
        if message.severity_en == "WARNING":
            warnings.append(message.message)

    connection.add_log_listener(note)
    try:
        status = await connection.execute("COMMIT")
    except DATABASE_ERRORS as error:
        raise OutcomeUnknown(describe(error)) from error
    finally:
        with suppress(asyncpg.InterfaceError):
            connection.remove_log_listener(note)
    if status != "COMMIT":
        raise BatchConflict(f"PostgreSQL answered COMMIT with {status}")
    if warnings:
        # A wait for a synchronous standby that is broken off ends in a COMMIT with a warning.
        raise OutcomeUnknown("; ".join(warnings))


async def _roll_back(connection: PoolConnectionProxy) -> None:
    """End the transaction; a connection that can't even do that is closed, which ends it too."""
    try:
        await connection.execute("ROLLBACK")
    except DATABASE_ERRORS:
        connection.terminate()
