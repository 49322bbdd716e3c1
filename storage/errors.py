"""What PostgreSQL's errors mean to the ledger."""

import asyncio
from typing import Final

import asyncpg
from asyncpg import exceptions as pg
from asyncpg.exceptions._base import DataError as ClientDataError

from processor.domain.failures import BatchConflict, RowRejected, StorageFailure, StorageUnavailable

_CONFLICTS: Final = (
    pg.DeadlockDetectedError,
    pg.SerializationError,
    pg.UniqueViolationError,
    pg.LockNotAvailableError,
)
# A value can be refused by the server, or by the client library that is to encode it.
_REJECTIONS: Final = (pg.DataError, pg.IntegrityConstraintViolationError, ClientDataError)
# Timeouts and lost connections, whether seen by the socket, the client library or the server.
CONNECTION_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    pg.PostgresConnectionError,
    pg.OperatorInterventionError,
    pg.InsufficientResourcesError,
    pg.ReadOnlySQLTransactionError,
    pg.InvalidAuthorizationSpecificationError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.InternalClientError,
)
DATABASE_ERRORS: Final = (*CONNECTION_ERRORS, asyncpg.PostgresError)


def translate(error: BaseException) -> StorageFailure:
    """Return the failure that `error`, one of DATABASE_ERRORS, means before COMMIT was sent."""
    if isinstance(error, _CONFLICTS):
        return BatchConflict(describe(error))
    if isinstance(error, _REJECTIONS):
        return RowRejected(describe(error))
    return StorageUnavailable(describe(error))


def describe(error: BaseException) -> str:
    """One line about an error, for the log."""
    if isinstance(error, TimeoutError):
        return "PostgreSQL did not answer in time"
    return str(error).partition("\n")[0] or type(error).__name__
