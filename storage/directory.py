"""Chains, their API keys and their programs: the service's snapshot of them, and the operator's changes."""

import asyncio
import json
import logging
import secrets
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple, NoReturn

import asyncpg

from processor.domain.api_key import (
    KEY_ID_ALPHABET,
    KEY_ID_CHARS,
    format_api_key,
    hash_secret,
    parse_api_key,
    secret_matches,
)
from processor.domain.chain import ApiKey, Chain, Role
from processor.domain.failures import StorageUnavailable
from processor.domain.program import Program
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument, program_from_document
from storage.errors import DATABASE_ERRORS, describe
from storage.queries import load_queries

WINDOW_BACK_SECONDS: Final = 45 * 86_400
WINDOW_AHEAD_SECONDS: Final = 600
_SECRET_BYTES: Final = 24
_NAME_CHECK: Final = "chain_name_check"

_SQL: Final = load_queries("directory")
_log: Final = logging.getLogger(__name__)


class DirectoryError(Exception):
    """What an operator asked for cannot be; the text says why and what to change."""


class ChainNameError(DirectoryError):
    """No chain can have this name."""


class PostgresDirectory:
    """The directory as it was at the last `refresh`; empty before the first."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._revision: int | None = None
        self._chains: dict[int, Chain] = {}
        self._keys: dict[str, ApiKey] = {}

    def chain(self, chain_id: int) -> Chain:
        """The chain with its programs; KeyError if there is none."""
        return self._chains[chain_id]

    def chain_names(self) -> list[str]:
        """All chains, the oldest first."""
        return [self._chains[chain_id].name for chain_id in sorted(self._chains)]

    def key(self, key_id: str) -> ApiKey | None:
        """The key, unless it is unknown or revoked."""
        return self._keys.get(key_id)

    async def refresh(self) -> None:
        """Read the directory anew if it has changed. Raises StorageUnavailable and keeps what was known."""
        try:
            async with self._pool.acquire() as connection:
                if await connection.fetchval(_SQL["revision"]) != self._revision:
                    await self._reload(connection)
        except DATABASE_ERRORS as error:
            raise StorageUnavailable(describe(error)) from error

    async def watch(self, interval_seconds: float) -> NoReturn:
        """Refresh for ever; while PostgreSQL is away, what was known stays in force."""
        stale = False
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.refresh()
                stale = False
            except StorageUnavailable as error:
                if not stale:
                    _log.warning("the directory cannot be refreshed: %s", error)
                stale = True

    async def _reload(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            revision = await connection.fetchval(_SQL["revision"])
            chains = await connection.fetch(_SQL["chains"])
            programs = await connection.fetch(_SQL["programs"])
            keys = await connection.fetch(_SQL["live_keys"])
        programs_by_chain = _programs_by_chain(programs)
        self._chains = {
            chain_id: Chain(chain_id, name, back_seconds, ahead_seconds, programs_by_chain[chain_id])
            for chain_id, name, back_seconds, ahead_seconds in chains
        }
        self._keys = {
            key_id: ApiKey(key_id, chain_id, secret_sha256, Role(role))
            for key_id, chain_id, secret_sha256, role in keys
        }
        self._revision = revision


def _programs_by_chain(rows: Iterable[asyncpg.Record]) -> dict[int, tuple[Program, ...]]:
    programs: defaultdict[int, tuple[Program, ...]] = defaultdict(tuple)
    for chain_id, version, effective_from_us, document in rows:
        programs[chain_id] += (program_from_document(version, effective_from_us, json.loads(document)),)
    return programs


# --- what an operator does, over one connection of the owner ---------------------------------------


class ChainRow(NamedTuple):
    """A chain without its rules."""

    chain_id: int
    name: str
    window_back_seconds: int
    window_ahead_seconds: int


class KeyRow(NamedTuple):
    """A key as an operator sees it; `revoked_at_us` is None while it is in force."""

    key_id: str
    label: str
    role: str
    created_at_us: int
    revoked_at_us: int | None


class ProgramRow(NamedTuple):
    """One version of a chain's program."""

    version: int
    effective_from_us: int
    document: ProgramDocument


async def create_chain(
    connection: asyncpg.Connection,
    name: str,
    *,
    window_back_seconds: int = WINDOW_BACK_SECONDS,
    window_ahead_seconds: int = WINDOW_AHEAD_SECONDS,
    document: ProgramDocument = DEFAULT_PROGRAM,
) -> int:
    """Create a chain with version 1 of its program; returns its chain_id. Raises DirectoryError."""
    try:
        async with connection.transaction():
            chain_id: int = await connection.fetchval(
                _SQL["create_chain"], name, window_back_seconds, window_ahead_seconds
            )
            await add_program(connection, chain_id, document)
    except asyncpg.UniqueViolationError:
        raise DirectoryError(f"a chain named {name!r} exists already: choose another name") from None
    except asyncpg.CheckViolationError as error:
        if error.constraint_name != _NAME_CHECK:
            raise DirectoryError("a chain's window must not be negative, nor empty to the past") from None
        raise ChainNameError(
            f"chain name {name!r} must be 1 to 63 lower-case letters, digits and hyphens,"
            " not beginning with a hyphen"
        ) from None
    return chain_id


async def list_chains(connection: asyncpg.Connection) -> list[ChainRow]:
    """All chains by name."""
    return [ChainRow(*row) for row in await connection.fetch(_SQL["chains"])]


async def find_chain(connection: asyncpg.Connection, name: str) -> int:
    """The chain_id of a name. Raises DirectoryError if there is none."""
    chain_id: int | None = await connection.fetchval(_SQL["find_chain"], name)
    if chain_id is None:
        raise DirectoryError(f"there is no chain named {name!r}: see 'chain list'")
    return chain_id


async def create_key(
    connection: asyncpg.Connection, chain_id: int, label: str = "", role: Role = Role.TILL
) -> str:
    """Create an API key and return its text, which nobody can find out later."""
    key_id = "".join(secrets.choice(KEY_ID_ALPHABET) for _ in range(KEY_ID_CHARS))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    await connection.execute(_SQL["create_key"], key_id, chain_id, label, hash_secret(secret), role)
    return format_api_key(key_id, secret)


async def is_key_in_force(connection: asyncpg.Connection, chain_id: int, api_key: str) -> bool:
    """Whether a text is an API key of the chain that is neither unknown nor revoked."""
    parsed = parse_api_key(api_key)
    if parsed is None:
        return False
    key_id, secret = parsed
    row = await connection.fetchrow(_SQL["live_key"], key_id, chain_id)
    return row is not None and secret_matches(secret, row["secret_sha256"])


async def revoke_key(connection: asyncpg.Connection, key_id: str) -> None:
    """Put a key out of force, for ever. Raises DirectoryError if there is none."""
    if await connection.fetchval(_SQL["revoke_key"], key_id) is None:
        raise DirectoryError(f"there is no API key with the id {key_id!r}: see 'key list'")


async def list_keys(connection: asyncpg.Connection, chain_id: int) -> list[KeyRow]:
    """The chain's keys, revoked ones included, the oldest first."""
    return [KeyRow(*row) for row in await connection.fetch(_SQL["list_keys"], chain_id)]


async def add_program(
    connection: asyncpg.Connection,
    chain_id: int,
    document: ProgramDocument,
    effective_from_us: int | None = None,
) -> ProgramRow:
    """Add the next version of a chain's program, in force from a time to come or from now."""
    async with connection.transaction():
        await connection.execute(_SQL["lock_chain"], chain_id)
        row = await connection.fetchrow(
            _SQL["add_program"], chain_id, effective_from_us, json.dumps(document)
        )
    assert row is not None
    return ProgramRow(row["version"], row["effective_from"], document)


async def programs(connection: asyncpg.Connection, chain_id: int) -> list[ProgramRow]:
    """All versions of a chain's program, the oldest first."""
    return [
        ProgramRow(version, effective_from_us, json.loads(document))
        for version, effective_from_us, document in await connection.fetch(_SQL["chain_programs"], chain_id)
    ]
