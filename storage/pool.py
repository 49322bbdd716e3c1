"""Connections to PostgreSQL: the pool of the service, and single ones of the operator."""

from typing import Any, Final, cast

import asyncpg

from processor.domain.failures import StorageUnavailable
from storage.epoch import POSTGRES_EPOCH_US
from storage.errors import DATABASE_ERRORS, describe
from storage.plans import PlanRenewal
from storage.primary import connect_to_primary
from storage.queries import load_queries

SERVICE_ROLE: Final = "loyalty_service"

# Every statement is one of a few fixed shapes over arrays, so planning it anew for each call is pure loss;
# and a plan made while this month's partition was empty must not go on reading it whole once it is full.
_SERVER_SETTINGS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "timezone": "UTC",
    # The chain's lock is taken before what it guards is read, so each statement needs a snapshot of its own.
    "default_transaction_isolation": "read committed",
}
# Who waits longer for a lock than this share of a statement's time lets the batch go and runs it again.
_LOCK_SHARE: Final = 0.3
_SQL: Final = load_queries("session")


async def open_pool(dsn: str, *, connections: int, statement_timeout_seconds: float) -> asyncpg.Pool:
    """Open the service's pool: at most `connections`, in the role that owns nothing.

    With several hosts in `dsn` the primary is taken, at every reconnect anew. Raises StorageUnavailable.
    """
    timeout_ms = f"{statement_timeout_seconds * 1000:.0f}"
    settings = {
        **_SERVER_SETTINGS,
        "statement_timeout": timeout_ms,
        # A process that hangs, or is cut off, must not keep its locks for ever.
        "idle_in_transaction_session_timeout": timeout_ms,
        "tcp_user_timeout": timeout_ms,
        "lock_timeout": f"{statement_timeout_seconds * _LOCK_SHARE * 1000:.0f}",
    }
    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=connections,
            max_inactive_connection_lifetime=0,
            command_timeout=statement_timeout_seconds + 1,
            timeout=5,
            server_settings=settings,
            connect=cast("Any", connect_to_primary),  # its type spells out each of the options
            init=_enter_service,
            setup=PlanRenewal().renew,
            reset=_keep_session,
        )
    except DATABASE_ERRORS as error:
        raise StorageUnavailable(describe(error)) from error


async def connect(dsn: str, *, timeout_seconds: float = 10) -> asyncpg.Connection:
    """Open one connection as the login that `dsn` names, which owns the tables. Raises StorageUnavailable."""
    try:
        connection = await connect_to_primary(
            dsn, timeout=timeout_seconds, server_settings={"timezone": "UTC"}
        )
    except DATABASE_ERRORS as error:
        raise StorageUnavailable(describe(error)) from error
    await _use_unix_microseconds(connection)
    return connection


async def _enter_service(connection: asyncpg.Connection) -> None:
    await _use_unix_microseconds(connection)
    await connection.execute(_SQL["enter_service"])


async def _use_unix_microseconds(connection: asyncpg.Connection) -> None:
    """Exchange timestamptz as int, microseconds since the Unix epoch."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        format="tuple",
        encoder=lambda unix_us: (unix_us - POSTGRES_EPOCH_US,),
        decoder=lambda value: value[0] + POSTGRES_EPOCH_US,
    )


async def _keep_session(connection: asyncpg.Connection) -> None:
    """Spare the round trip of a reset: the service leaves nothing behind but what its transactions end."""
