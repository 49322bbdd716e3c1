"""The question whether the service can write to PostgreSQL, over a connection that nothing keeps busy."""

import asyncio
from typing import Final

import asyncpg

from processor.domain.failures import StorageUnavailable
from storage.errors import DATABASE_ERRORS, describe
from storage.pool import SERVICE_ROLE, connect
from storage.queries import load_queries

_SQL: Final = load_queries("probe")


class Probe:
    """Asks again and again over one connection, and over a new one after a failure."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None

    async def check(self, timeout_seconds: float) -> None:
        """Ask once. Raises StorageUnavailable if the answer is no, or late."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._ask(timeout_seconds)
        except DATABASE_ERRORS as error:
            self.close()
            raise StorageUnavailable(describe(error)) from error
        except StorageUnavailable:
            self.close()
            raise

    async def _ask(self, timeout_seconds: float) -> None:
        if self._connection is None:
            self._connection = await connect(self._dsn, timeout_seconds=timeout_seconds)
            await self._connection.execute(f"SET ROLE {SERVICE_ROLE}")
        if await self._connection.fetchval(_SQL["is_read_only"]):
            raise StorageUnavailable("the server takes no writes now")
        if missing := await self._connection.fetchval(_SQL["missing_rights"]):
            raise StorageUnavailable(f"the role {SERVICE_ROLE} lacks {missing}")

    def close(self) -> None:
        """Drop the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
