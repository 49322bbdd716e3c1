"""The plans that connections keep look each row up by itself, also if the tables were never analysed.

A plan that reads all of a chain is made when the chain has next to nothing, and met when it has millions.
"""

import json
import re
from functools import partial
from importlib.resources import files
from typing import Any, Final

import asyncpg
import pytest

from storage.plans import PlanRenewal
from storage.pool import open_pool
from storage.queries import load_queries
from tests.integration.plans import nodes

FILES: Final = ("ledger", "shared")
# By statement: what a row is looked up by, beside its chain.
LOOKED_UP_BY: Final = {
    "read_accounts": "member_id",
    "lock_accounts": "member_id",
    "find_cards": "card",
    "probe_keys": "idempotency_key",
    "find_originals": "idempotency_key",
    "find_followers": "original_key",
    "update_accounts": "member_id",
}
PROBE: Final = load_queries("ledger")["probe_keys"]
# So few that the indexes of a partition cost the planner nearly the same, and it takes the wrong one.
MISLEADING_ROWS: Final = 200
MANY_ROWS: Final = 2_000
FILL: Final = files("benchmarks.growth").joinpath("fill.sql").read_text("utf-8")


def test_no_statement_is_forgotten() -> None:
    tables = re.compile(r"\b(FROM|JOIN|UPDATE) (account|card|operation)\b")
    for file in FILES:
        statements = load_queries(file).items()
        assert {name for name, text in statements if tables.search(text)} == LOOKED_UP_BY.keys()


@pytest.fixture(autouse=True)
async def never_analysed(owner: asyncpg.Connection) -> None:
    """PostgreSQL would make plans anew when it has analysed a table."""
    partition = await owner.fetchval("SELECT ensure_partition(now())")
    await owner.execute(f'ALTER TABLE "{partition}" SET (autovacuum_enabled = off)')


@pytest.mark.parametrize("name", LOOKED_UP_BY)
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("rows", [0, MANY_ROWS])
async def test_rows_are_looked_up_by_themselves_in_tables_that_were_never_analysed(
    database: str, owner: asyncpg.Connection, file: str, name: str, rows: int
) -> None:
    await fill(owner, rows)
    async with (
        await open_pool(database, connections=1, statement_timeout_seconds=10) as pool,
        pool.acquire() as connection,
    ):
        await connection.execute(f"PREPARE kept AS {load_queries(file)[name]}")
        assert looks_up(await kept_plan(connection, "kept"), LOOKED_UP_BY[name])


async def test_a_plan_that_misleads_is_not_kept(database: str, owner: asyncpg.Connection) -> None:
    await fill(owner, MISLEADING_ROWS)
    now = 1_000.0
    renewal = PlanRenewal(5, lambda: now)
    # To be misled here is PostgreSQL 18's way; if another version is not, nothing is wrong with the service.
    async with (
        await open_pool(database, connections=1, statement_timeout_seconds=10) as pool,
        pool.acquire() as connection,
    ):
        await renewal.renew(connection)
        await connection.execute(f"PREPARE kept AS {PROBE}")
        assert not looks_up(await kept_plan(connection, "kept"), "idempotency_key")
        await fill(owner, MANY_ROWS)
        await renewal.renew(connection)
        assert not looks_up(await kept_plan(connection, "kept"), "idempotency_key")
        now += 5
        await renewal.renew(connection)
        assert looks_up(await kept_plan(connection, "kept"), "idempotency_key")


async def test_every_connection_of_the_service_renews_its_plans(
    database: str, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.pool.PlanRenewal", partial(PlanRenewal, seconds_max=0))
    await fill(owner, MISLEADING_ROWS)
    async with await open_pool(database, connections=1, statement_timeout_seconds=10) as pool:
        async with pool.acquire() as connection:
            await connection.execute(f"PREPARE kept AS {PROBE}")
            assert not looks_up(await kept_plan(connection, "kept"), "idempotency_key")
        await fill(owner, MANY_ROWS)
        async with pool.acquire() as connection:
            assert looks_up(await kept_plan(connection, "kept"), "idempotency_key")


async def fill(owner: asyncpg.Connection, rows: int) -> None:
    """Put rows into the present partition."""
    partition = await owner.fetchval("SELECT ensure_partition(now())")
    await owner.execute("SET loyalty.chain_id = 1")
    statement = FILL.format(partition=partition, fingerprint_bytes=52, response_bytes=90, hash_bytes=32)
    now_us = await owner.fetchval("SELECT now()")
    await owner.execute(statement, 1, 1_000_000, now_us, now_us, rows)


async def kept_plan(connection: Any, prepared: str) -> Any:
    """That of a prepared statement for all values alike."""
    [statement] = await connection.fetchrow(
        "SELECT statement FROM pg_prepared_statements WHERE name = $1", prepared
    )
    values = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", statement))))
    arguments = f"({values})" if values else ""
    [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE {prepared}{arguments}")
    return json.loads(row[0])


def looks_up(plan: Any, column: str) -> bool:
    """Whether each scan of a table looks for one row."""
    scans = [node for node in nodes(plan) if "Relation Name" in node and "Scan" in node.get("Node Type", "")]
    by = re.compile(rf"\({column} = \w+\.{column}\)")
    return bool(scans) and all(by.search(scan.get("Index Cond", "")) for scan in scans)
