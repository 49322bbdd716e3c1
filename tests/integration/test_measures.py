"""What is measured of the database: each item by itself, the accounts once for all, and nothing unknown."""

import asyncio
import secrets
from collections.abc import Iterator
from time import time
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from storage.measures import measure_outstanding
from storage.migrate import migrate
from storage.pool import open_pool
from storage.verify import verify
from tests.chains import new_chain, query
from tests.postgres import run
from tests.server import Server, eventually, serving, started
from tests.standby import Pair, replicated
from tests.standby import query as ask

OWNER: Final = "owner_of_tables"
PASSWORD: Final = secrets.token_hex(8)
ITEMS: Final = {"due_lag", "outstanding_points", "standbys", "table_sizes", "verification"}
# Of the item that is measured first, and of the last one.
FUNCTIONS: Final = {"standbys": "streaming_standbys", "outstanding_points": "measure_outstanding"}
CANT_BE_MEASURED: Final = "the database can't be measured"
HIDDEN: Final = "standbys are not measured: PostgreSQL hides them from the owner of the tables"
LONG_AGO_SECONDS: Final = 86_400


def exported(server: Server, name: str) -> list[float]:
    """The values of a metric's samples."""
    families = text_string_to_metric_families(server.metrics())
    return [sample.value for family in families for sample in family.samples if sample.name == name]


def measured_at(server: Server, item: str) -> float:
    return server.metric("loyalty_measured_timestamp_seconds", item=item)


# --- item by item -----------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", FUNCTIONS)
def test_an_item_that_cannot_be_measured_leaves_the_others_fresh(failing: str, database: str) -> None:
    with serving(database, measure_seconds=1) as server:
        eventually(lambda: all(measured_at(server, item) for item in ITEMS), describe=server.metrics)
        run(query(database, f"REVOKE EXECUTE ON FUNCTION {FUNCTIONS[failing]} FROM loyalty_service"))
        eventually(lambda: server.events(CANT_BE_MEASURED))
        before = {item: measured_at(server, item) for item in ITEMS}

        run(verify(database))
        eventually(lambda: server.metric("loyalty_verify_last_run_timestamp_seconds"))
        others = ITEMS - {failing}
        eventually(lambda: all(measured_at(server, item) > before[item] for item in others))
        assert measured_at(server, failing) == before[failing]
        assert {event["item"] for event in server.events(CANT_BE_MEASURED)} == {failing}

        run(query(database, f"GRANT EXECUTE ON FUNCTION {FUNCTIONS[failing]} TO loyalty_service"))
        eventually(lambda: measured_at(server, failing) > before[failing], describe=server.metrics)


def test_what_was_never_measured_is_as_old_as_the_worker(database: str) -> None:
    run(query(database, "REVOKE EXECUTE ON FUNCTION measure_outstanding FROM loyalty_service"))
    began_at = time()
    with serving(database, measure_seconds=1) as server:
        eventually(lambda: len(exported(server, "loyalty_measured_timestamp_seconds")) == len(ITEMS))
        tried_since = measured_at(server, "outstanding_points")
        assert began_at <= tried_since <= time()
        eventually(lambda: len(server.events(CANT_BE_MEASURED)) >= 3, describe=server.log)
        assert measured_at(server, "outstanding_points") == tried_since
        assert measured_at(server, "standbys") > tried_since
        assert server.metric("loyalty_measure_interval_seconds") == 1


# --- once for all processes -------------------------------------------------------------------------


async def test_the_accounts_are_read_once_for_all_who_ask_within_the_age(
    database: str, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    chain, idle = await new_chain(database), await new_chain(database)
    await chain.add_members([1, 2])
    await owner.execute("UPDATE account SET balance_points = member_id * 10")
    first = await measure_outstanding(pool, LONG_AGO_SECONDS)
    assert first
    assert first.points_by_chain == {chain.name: 30, idle.name: 0}

    await owner.execute("UPDATE account SET balance_points = balance_points + 1")
    assert await measure_outstanding(pool, LONG_AGO_SECONDS) == first
    renewed = await measure_outstanding(pool, 0)
    assert renewed
    assert renewed.points_by_chain == {chain.name: 32, idle.name: 0}
    assert renewed.measured_at_seconds > first.measured_at_seconds


async def test_who_comes_while_another_reads_the_accounts_is_given_what_was_found_before(
    owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    async with owner.transaction():
        await owner.execute("SELECT pg_advisory_xact_lock(hashtext('loyalty.outstanding'))")
        assert await measure_outstanding(pool, 0) is None
    first = await measure_outstanding(pool, 0)
    assert first
    async with owner.transaction():
        await owner.execute("SELECT pg_advisory_xact_lock(hashtext('loyalty.outstanding'))")
        assert await measure_outstanding(pool, 0) == first


async def test_reading_the_accounts_may_take_longer_than_a_call(
    database: str, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "CREATE OR REPLACE FUNCTION outstanding_points() RETURNS TABLE (chain text, points numeric)"
        " LANGUAGE sql AS $$ SELECT 'large', 1::numeric FROM pg_sleep(1.5) $$"
    )
    async with await open_pool(database, connections=1, statement_timeout_seconds=0.2) as hasty:
        found = await measure_outstanding(hasty, 0)
        assert found
        assert found.points_by_chain == {"large": 1}
        assert await hasty.fetchval("SHOW statement_timeout") == "200ms"


# --- a synchronous standby, and an owner who is no superuser ----------------------------------------


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with replicated() as pair:
        for statement in (
            f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}' IN ROLE loyalty_service",
            f"CREATE DATABASE loyalty OWNER {OWNER}",
        ):
            ask(pair.primary, statement)
        run(migrate(owners_dsn(pair)))
        yield pair


def owners_dsn(pair: Pair) -> str:
    parts = urlsplit(pair.dsn())
    hosts = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{OWNER}:{PASSWORD}@{hosts}", path="/loyalty").geturl()


def test_standbys_that_the_owner_may_not_see_are_left_out_and_it_is_told_why(pair: Pair) -> None:
    with started(owners_dsn(pair), measure_seconds=1) as server:
        [told] = eventually(lambda: server.events(HIDDEN))
        assert "GRANT pg_read_all_stats" in told["missing"]
        assert not exported(server, "loyalty_sync_standbys")
        assert not exported(server, "loyalty_replica_lag_seconds")
        assert exported(server, "loyalty_sync_standbys_wanted") == [1]

        ask(pair.primary, f"GRANT pg_read_all_stats TO {OWNER}")
        eventually(lambda: exported(server, "loyalty_sync_standbys") == [1], describe=server.metrics)
        assert len(exported(server, "loyalty_replica_lag_seconds")) == 1

        ask(pair.standby, "SELECT pg_wal_replay_pause()")
        ask(pair.primary, "SELECT pg_logical_emit_message(TRUE, 'test', '')")
        eventually(lambda: server.metric("loyalty_replica_lag_seconds") > 1, describe=server.metrics)
        ask(pair.standby, "SELECT pg_wal_replay_resume()")

        ask(pair.primary, f"REVOKE pg_read_all_stats FROM {OWNER}")
        eventually(lambda: not exported(server, "loyalty_sync_standbys"), describe=server.metrics)
        assert not exported(server, "loyalty_replica_lag_seconds")
        eventually(lambda: len(server.events(HIDDEN)) == 2)


def test_measuring_does_not_wait_for_a_standby_that_is_gone(pair: Pair) -> None:
    """The last test of the file: it kills the standby."""
    pair.standby.kill()
    run(measure_while_watching(pair))


async def measure_while_watching(pair: Pair) -> None:
    hanging = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    watcher = await asyncpg.connect(pair.primary.dsn())
    async with await open_pool(owners_dsn(pair), connections=1, statement_timeout_seconds=10) as pool:
        measuring = asyncio.create_task(measure_outstanding(pool, 0))
        while not measuring.done():
            assert not await watcher.fetchval(hanging)
        assert await measuring
    await watcher.close()
