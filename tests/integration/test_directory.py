"""The directory: what operators change, and how soon a service knows."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from processor.domain.api_key import parse_api_key, secret_matches
from processor.domain.chain import Role
from processor.domain.failures import StorageUnavailable
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from storage.directory import (
    DirectoryError,
    PostgresDirectory,
    add_program,
    create_chain,
    create_key,
    find_chain,
    is_key_in_force,
    list_chains,
    list_keys,
    programs,
    revoke_key,
)
from storage.owner import SchemaMissingError, owner_connection
from storage.pool import open_pool

EARN_ONLY: ProgramDocument = {"earning": DEFAULT_PROGRAM["earning"]}


@pytest.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection]:
    async with owner_connection(database) as connection:
        yield connection


@pytest.fixture
async def directory(database: str) -> AsyncIterator[PostgresDirectory]:
    pool = await open_pool(database, connections=2, statement_timeout_seconds=5)
    yield PostgresDirectory(pool)
    await pool.close()


async def test_a_new_chain_has_the_default_program(
    owner: asyncpg.Connection, directory: PostgresDirectory
) -> None:
    chain_id = await create_chain(owner, "corner-shops", window_back_seconds=60, window_ahead_seconds=0)
    await directory.refresh()
    chain = directory.chain(chain_id)
    assert (chain.name, chain.window_back_seconds, chain.window_ahead_seconds) == ("corner-shops", 60, 0)
    assert [program.version for program in chain.programs] == [1]
    assert await find_chain(owner, "corner-shops") == chain_id
    assert [row.chain_id for row in await list_chains(owner)] == [chain_id]


async def test_a_chain_that_is_not_there_is_a_key_error(directory: PostgresDirectory) -> None:
    await directory.refresh()
    with pytest.raises(KeyError):
        directory.chain(1)


async def test_a_key_is_known_until_it_is_revoked(
    owner: asyncpg.Connection, directory: PostgresDirectory
) -> None:
    chain_id = await create_chain(owner, "demo")
    parsed = parse_api_key(text := await create_key(owner, chain_id, "tills"))
    assert parsed is not None
    key_id, secret = parsed
    await directory.refresh()
    key = directory.key(key_id)
    assert key is not None
    assert key.chain_id == chain_id
    assert secret_matches(secret, key.secret_sha256)
    assert key.role is Role.TILL
    assert await is_key_in_force(owner, chain_id, text)

    await revoke_key(owner, key_id)
    await revoke_key(owner, key_id)
    await directory.refresh()
    assert directory.key(key_id) is None
    assert not await is_key_in_force(owner, chain_id, text)
    [row] = await list_keys(owner, chain_id)
    assert row.label == "tills"
    assert row.revoked_at_us is not None


async def test_a_key_has_a_role(owner: asyncpg.Connection, directory: PostgresDirectory) -> None:
    chain_id = await create_chain(owner, "demo")
    parsed = parse_api_key(await create_key(owner, chain_id, role=Role.OPERATOR))
    assert parsed is not None
    await directory.refresh()
    key = directory.key(parsed[0])
    assert key is not None
    assert key.role is Role.OPERATOR
    assert [row.role for row in await list_keys(owner, chain_id)] == ["operator"]


async def test_only_the_right_chain_and_secret_make_a_key(owner: asyncpg.Connection) -> None:
    chain_id, other_id = await create_chain(owner, "one"), await create_chain(owner, "two")
    key = await create_key(owner, chain_id)
    assert not await is_key_in_force(owner, other_id, key)
    assert not await is_key_in_force(owner, chain_id, key[:-1] + ("a" if key[-1] != "a" else "b"))
    assert not await is_key_in_force(owner, chain_id, "")


async def test_the_secret_is_stored_nowhere(owner: asyncpg.Connection) -> None:
    key = await create_key(owner, await create_chain(owner, "demo"))
    stored = str([tuple(row) for row in await owner.fetch("SELECT * FROM api_key")])
    assert key[:15].removeprefix("lp_") in stored
    assert key[16:] not in stored


async def test_programs_come_in_versions(owner: asyncpg.Connection, directory: PostgresDirectory) -> None:
    chain_id = await create_chain(owner, "demo")
    later = await add_program(owner, chain_id, EARN_ONLY, 4_000_000_000_000_000)
    assert (later.version, later.effective_from_us) == (2, 4_000_000_000_000_000)
    await directory.refresh()
    chain = directory.chain(chain_id)
    assert chain.program_at(3_999_999_999_999_999).maximum_share_percent == 50
    assert chain.program_at(4_000_000_000_000_000).maximum_share_percent == 0
    assert [row.document for row in await programs(owner, chain_id)] == [DEFAULT_PROGRAM, EARN_ONLY]


async def test_a_version_for_later_comes_into_force_after_one_set_meanwhile(
    owner: asyncpg.Connection, directory: PostgresDirectory
) -> None:
    chain_id = await create_chain(owner, "demo")
    await add_program(owner, chain_id, EARN_ONLY, 4_000_000_000_000_000)
    await add_program(owner, chain_id, DEFAULT_PROGRAM)
    await directory.refresh()
    assert directory.chain(chain_id).program_at(3_999_999_999_999_999).version == 3
    assert directory.chain(chain_id).program_at(4_000_000_000_000_000).version == 2


async def test_a_time_that_has_passed_means_now(
    owner: asyncpg.Connection, directory: PostgresDirectory
) -> None:
    chain_id = await create_chain(owner, "demo")
    await add_program(owner, chain_id, EARN_ONLY)
    before_us = await owner.fetchval("SELECT now()")
    restored = await add_program(owner, chain_id, DEFAULT_PROGRAM, effective_from_us=0)
    assert restored.effective_from_us > before_us
    await directory.refresh()
    assert directory.chain(chain_id).program_at(restored.effective_from_us).version == 3


async def test_versions_added_at_once_are_counted_one_by_one(database: str) -> None:
    async with owner_connection(database) as connection:
        chain_id = await create_chain(connection, "demo")

    async def add() -> int:
        async with owner_connection(database) as connection:
            return (await add_program(connection, chain_id, EARN_ONLY)).version

    assert sorted(await asyncio.gather(*(add() for _ in range(8)))) == list(range(2, 10))


@pytest.mark.parametrize("name", ["", "Demo", "-demo", "a b", "a" * 64, "café"])
async def test_a_chain_is_named_plainly(owner: asyncpg.Connection, name: str) -> None:
    with pytest.raises(DirectoryError, match="must be 1 to 63 lower-case letters"):
        await create_chain(owner, name)
    assert await list_chains(owner) == []


async def test_what_is_not_there_is_told(owner: asyncpg.Connection) -> None:
    await create_chain(owner, "demo")
    with pytest.raises(DirectoryError, match="'demo' exists already"):
        await create_chain(owner, "demo")
    with pytest.raises(DirectoryError, match="no chain named 'dmeo'"):
        await find_chain(owner, "dmeo")
    with pytest.raises(DirectoryError, match="no API key with the id 'nope'"):
        await revoke_key(owner, "nope")


async def test_a_watching_service_learns_of_changes_by_itself(
    owner: asyncpg.Connection, directory: PostgresDirectory
) -> None:
    watching = asyncio.create_task(directory.watch(0.01))
    chain_id = await create_chain(owner, "demo")
    key = await create_key(owner, chain_id)
    async with asyncio.timeout(30):
        while directory.key(key[3:15]) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert directory.chain(chain_id).name == "demo"
    watching.cancel()


async def test_without_postgresql_the_last_snapshot_stays(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with owner_connection(database) as connection:
        chain_id = await create_chain(connection, "demo")
    pool = await open_pool(database, connections=2, statement_timeout_seconds=5)
    directory = PostgresDirectory(pool)
    await directory.refresh()
    await pool.close()
    with pytest.raises(StorageUnavailable):
        await directory.refresh()
    watching = asyncio.create_task(directory.watch(0))
    async with asyncio.timeout(30):
        while not caplog.messages:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not watching.done()
    watching.cancel()
    assert len(caplog.messages) == 1
    assert directory.chain(chain_id).name == "demo"


async def test_a_database_without_tables_is_told(empty_database: str) -> None:
    with pytest.raises(SchemaMissingError, match="run 'loyalty-processor migrate' first"):
        async with owner_connection(empty_database) as connection:
            await list_chains(connection)
