"""API keys end to end, and what the service's login can't do whatever it is asked to."""

import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest
from asyncpg.pool import PoolConnectionProxy

from storage.pool import connect, open_pool
from tests.chains import Chain, new_chain
from tests.client import Till
from tests.history import accrual, decided, write
from tests.postgres import Server as Postgres
from tests.postgres import run
from tests.requests import accrue
from tests.server import REPOSITORY, Server, eventually_true, serving

MEMBER: Final = 1
OTHER_MEMBER: Final = 2
POINTS: Final = 5
pytestmark = pytest.mark.xdist_group("keys")


@pytest.fixture(scope="module")
def dsn(postgres: Postgres) -> Iterator[str]:
    """A database, as its owner."""
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def service_dsn(postgres: Postgres, dsn: str) -> Iterator[str]:
    """The same, as a login that is a member of loyalty_service and nothing else."""
    name, password = f"service_{secrets.token_hex(8)}", secrets.token_hex(8)
    postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE loyalty_service")
    url = urlsplit(dsn)
    host = url.netloc.rpartition("@")[2]
    yield url._replace(netloc=f"{name}:{password}@{host}").geturl()
    postgres.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def server(service_dsn: str) -> Iterator[Server]:
    """Two workers on the service's own login."""
    with serving(service_dsn, workers=2) as server:
        yield server


@pytest.fixture
def chain(dsn: str) -> Chain:
    return chain_with_members(dsn, [MEMBER])


@pytest.fixture
def other_chain(dsn: str) -> Chain:
    """Another chain of the same database, with a member more."""
    return chain_with_members(dsn, [MEMBER, OTHER_MEMBER])


def chain_with_members(dsn: str, member_ids: list[int]) -> Chain:
    chain = run(new_chain(dsn))
    run(chain.add_members(member_ids, {f"card-{member_id}": member_id for member_id in member_ids}))
    return chain


def cli(dsn: str, *arguments: str) -> str:
    """What a command prints; it must succeed."""
    command = [sys.executable, "-m", "processor", *arguments, "--dsn", dsn]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


# --- keys ------------------------------------------------------------------------------------------


async def test_a_key_works_at_once(service_dsn: str, chain: Chain) -> None:
    with serving(service_dsn, directory_refresh_seconds=60) as server:
        api_key = cli(chain.dsn, "key", "create", chain.name)
        async with Till(server.address, api_key) as till:
            assert not (await till.write(accrue(MEMBER))).reason


async def test_a_revoked_key_is_refused_by_every_worker(server: Server, chain: Chain) -> None:
    async with Till(server.address, chain.api_key, connections=16) as till:
        assert not (await till.write(accrue(MEMBER))).reason
        cli(chain.dsn, "key", "revoke", chain.api_key)

        async def is_refused_everywhere() -> bool:
            return {(await till.write(accrue(MEMBER))).reason for _ in till.channels} == {"API_KEY_INVALID"}

        await eventually_true(is_refused_everywhere)
        count = await chain.operation_count()
        assert (await till.write(accrue(MEMBER))).reason == "API_KEY_INVALID"
        assert await chain.operation_count() == count


async def test_a_key_shows_nothing_of_another_chain(server: Server, chain: Chain, other_chain: Chain) -> None:
    request = accrue(MEMBER, POINTS * 10_000)
    async with (
        Till(server.address, chain.api_key) as till,
        Till(server.address, other_chain.api_key) as other_till,
    ):
        assert (await till.write(request)).operation.balance_points == POINTS
        assert (await other_till.get_operation(request.idempotency_key)).reason == "OPERATION_NOT_FOUND"
        # The other chain's members have the same numbers and cards, and nothing else in common.
        assert (await other_till.balance(MEMBER)).balance_points == 0
        assert await other_till.operations(MEMBER) == []
        again = await other_till.write(request)
        assert (again.reason, again.replayed, again.operation.balance_points) == ("", False, POINTS)
        assert (await till.write(accrue(OTHER_MEMBER))).reason == "MEMBER_NOT_FOUND"
        assert (await till.write(accrue(0, card=f"card-{OTHER_MEMBER}"))).reason == "MEMBER_NOT_FOUND"
        assert len(await till.operations(MEMBER)) == 1


# --- the service's login ---------------------------------------------------------------------------


@pytest.fixture
async def session(service_dsn: str) -> AsyncIterator[PoolConnectionProxy]:
    """A connection as the service has them."""
    async with (
        await open_pool(service_dsn, connections=1, statement_timeout_seconds=10) as pool,
        pool.acquire() as session,
    ):
        yield session


@pytest.fixture
async def partition(chain: Chain, other_chain: Chain) -> str:
    """The partition in which both chains have an operation."""
    owner = await connect(chain.dsn)
    await write(owner, decided(chain.chain_id, [accrual("k-1", MEMBER)]))
    await write(owner, decided(other_chain.chain_id, [accrual("k-1", MEMBER)]))
    name = await owner.fetchval("SELECT tableoid::regclass::text FROM operation LIMIT 1")
    await owner.close()
    return str(name)


async def enter(session: PoolConnectionProxy, chain: Chain | None) -> None:
    """Set the chain, or none, for the rest of the session."""
    chain_id = str(chain.chain_id) if chain else ""
    await session.execute("SELECT set_config('loyalty.chain_id', $1, FALSE)", chain_id)


TABLES: Final = ("account", "card", "operation", "chain_home", "due", "tally")


async def chains_seen(session: PoolConnectionProxy, table: str) -> set[int]:
    return {row[0] for row in await session.fetch(f"SELECT chain_id FROM {table}")}  # noqa: S608


async def append(session: PoolConnectionProxy, partition: str, chain: Chain) -> None:
    """COPY an operation of the chain, as the service does."""
    [operation] = decided(chain.chain_id, [accrual("k-2", MEMBER)])
    columns = [name.removesuffix("_us") for name in operation._fields]
    await session.copy_records_to_table(partition, records=[operation], columns=columns)


async def test_without_a_chain_the_service_sees_and_changes_no_row(
    session: PoolConnectionProxy, chain: Chain, partition: str
) -> None:
    await enter(session, None)
    assert [await chains_seen(session, table) for table in TABLES] == [set()] * len(TABLES)
    assert await session.execute("UPDATE account SET balance_points = 1") == "UPDATE 0"
    with pytest.raises(asyncpg.CheckViolationError):
        await append(session, partition, chain)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await session.execute("INSERT INTO chain_home VALUES ($1, 'home')", chain.chain_id)


async def test_with_a_chain_the_service_sees_and_changes_rows_of_no_other(
    session: PoolConnectionProxy, chain: Chain, other_chain: Chain, partition: str
) -> None:
    await enter(session, chain)
    for table in ("account", "card", "operation"):
        assert await chains_seen(session, table) == {chain.chain_id}
    touched = await session.execute(
        "UPDATE account SET balance_points = 1 WHERE chain_id = $1", other_chain.chain_id
    )
    assert touched == "UPDATE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await session.execute("UPDATE account SET chain_id = $1", other_chain.chain_id)
    with pytest.raises(asyncpg.CheckViolationError):
        await append(session, partition, other_chain)
    await append(session, partition, chain)
    assert (await chain.operation_count(), await other_chain.operation_count()) == (2, 1)


async def test_with_several_chains_the_service_sees_and_changes_rows_of_no_other(
    session: PoolConnectionProxy, chain: Chain, other_chain: Chain, partition: str
) -> None:
    owner = await connect(chain.dsn)
    third_chain = await new_chain(chain.dsn)
    for each in (chain, other_chain, third_chain):
        await each.query("INSERT INTO chain_home VALUES ($1, $2)", partition)
        # Not yet: the server beside would see to it, and take the chain home to the partition of today.
        await each.query("INSERT INTO due VALUES ($1, now() + interval '1 day', 1)")
    await write(owner, decided(third_chain.chain_id, [accrual("k-1", MEMBER)]))
    await owner.close()
    entered = {chain.chain_id, third_chain.chain_id}
    async with session.transaction():
        await session.execute("SELECT enter_homes($1, $2)", list(entered), partition)
        for table in ("account", "operation", "chain_home", "due"):
            assert await chains_seen(session, table) == entered
        assert await chains_seen(session, "card") == {chain.chain_id}
        assert await chains_seen(session, "tally") == set()
        touched = await session.execute("UPDATE account SET balance_points = 1 WHERE member_id = $1", MEMBER)
        assert touched == "UPDATE 2"
        for each in (chain, third_chain):
            await append(session, partition, each)
        with pytest.raises(asyncpg.CheckViolationError):
            async with session.transaction():
                await append(session, partition, other_chain)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with session.transaction():
                await session.execute("UPDATE account SET chain_id = $1", other_chain.chain_id)
    assert [await chains_seen(session, table) for table in TABLES] == [set()] * len(TABLES)
    with pytest.raises(asyncpg.CheckViolationError):
        await append(session, partition, chain)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM operation",
        "UPDATE operation SET balance_points = 0",
        "TRUNCATE operation",
        "DROP TABLE operation",
        "INSERT INTO operation SELECT * FROM operation",
        "SELECT * FROM {partition}",
        "DELETE FROM {partition}",
        "TRUNCATE {partition}",
        "ALTER TABLE {partition} DROP CONSTRAINT own_chain",
        "INSERT INTO account (chain_id, member_id) VALUES (1, 99)",
        "DELETE FROM account",
        "SELECT * FROM account_00",
        "UPDATE card SET member_id = 2",
        "INSERT INTO card (chain_id, card, member_id) VALUES (1, 'mine', 1)",
        "SELECT nextval('member_number')",
        "INSERT INTO api_key (key_id, chain_id, secret_sha256) VALUES ('a', 1, '')",
        "UPDATE api_key SET revoked_at = NULL",
        "UPDATE chain SET window_back_seconds = 1",
        "DELETE FROM chain_home",
        "SELECT * FROM detached_partition",
        "ALTER TABLE account DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE mine (id integer)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
    ],
)
async def test_the_service_may_not(session: PoolConnectionProxy, partition: str, statement: str) -> None:
    for leave in ("SET ROLE loyalty_service", "RESET ROLE"):
        await session.execute(leave)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(statement.format(partition=partition))


async def test_the_service_owns_nothing_and_is_nothing_special(session: PoolConnectionProxy) -> None:
    assert (
        await session.fetchval(
            "SELECT count(*) FROM pg_shdepend WHERE deptype = 'o' AND refobjid IN"
            " ('loyalty_service'::regrole, session_user::regrole)"
        )
        == 0
    )
    rights = await session.fetch(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
        " WHERE rolname IN ('loyalty_service', session_user)"
    )
    assert [any(row) for row in rights] == [False, False]
