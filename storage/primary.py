"""Finds the primary among the hosts of a DSN, of which none can hold up the search in the others."""

import os
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from storage.errors import DATABASE_ERRORS, describe

_PORT: Final = 5432


async def connect_to_primary(dsn: str, *, timeout: float, **options: Any) -> asyncpg.Connection:
    """Connect to the first host that takes writes; each has an equal share of `timeout` seconds.

    Raises one of DATABASE_ERRORS.
    """
    dsns = dsn_per_host(dsn)
    failures = []
    for one in dsns:
        try:
            return await asyncpg.connect(
                one,
                timeout=timeout / len(dsns),
                target_session_attrs=SessionAttribute.read_write,
                **options,
            )
        except DATABASE_ERRORS as error:
            if len(dsns) == 1 and not isinstance(error, OSError):
                raise
            failures.append(f"{server_of(one)}: {_reason(error)}")
    raise ConnectionError("; ".join(failures))


def dsn_per_host(dsn: str) -> list[str]:
    """Split `postgresql://user:password@host,host:port/database` into one DSN for each host."""
    user, at, hosts = urlsplit(dsn).netloc.rpartition("@")
    if "," not in hosts:
        return [dsn]
    return [urlsplit(dsn)._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")]


def server_of(dsn: str) -> str:
    """HOST:PORT of a DSN of one host; for a socket the directory is the host."""
    url = urlsplit(dsn)
    query = dict(parse_qsl(url.query))
    host = url.hostname or query.get("host", "localhost")
    port = url.port or query.get("port", _PORT)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: BaseException) -> str:
    """The system's own words where asyncio hides them behind others."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return describe(error)
