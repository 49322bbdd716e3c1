"""Finds the primary among the hosts of a DSN, of which none can hold up the search in the others."""

from typing import Any
from urllib.parse import urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from storage.errors import DATABASE_ERRORS, describe


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
            if len(dsns) == 1:
                raise
            failures.append(f"{_host(one)}: {describe(error)}")
    raise ConnectionError("; ".join(failures))


def dsn_per_host(dsn: str) -> list[str]:
    """Split `postgresql://user:password@host,host:port/database` into one DSN for each host."""
    user, at, hosts = urlsplit(dsn).netloc.rpartition("@")
    if "," not in hosts:
        return [dsn]
    return [urlsplit(dsn)._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")]


def _host(dsn: str) -> str:
    return urlsplit(dsn).netloc.rpartition("@")[2]
