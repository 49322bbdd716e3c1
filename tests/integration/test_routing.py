"""Each statement of the hot path reads the rows of one chain alone, which Citus sends to one shard."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import pytest

from processor.domain.command import Kind
from storage.citus import DISTRIBUTED, distribute
from storage.migrate import MigrationError
from storage.pool import open_pool
from storage.queries import load_queries
from tests.integration.plans import nodes

CHAIN_ID: Final = 1
NOW_US: Final = time.time_ns() // 1_000
SQL: Final = load_queries("ledger")
SHARED_SQL: Final = load_queries("shared")
# What follows the chain_id.
ARGUMENTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "read_accounts": ([1, 2],),
    "lock_accounts": ([1, 2],),
    "find_cards": (["card-1", "card-2"],),
    "probe_keys": (["key-1", "key-2"], NOW_US),
    "find_originals": (["key-1", "key-2"],),
    "find_followers": (["key-1", "key-2"], [Kind.RETURN]),
    "update_accounts": ([1, 2], [0, 0], [1, 1], [b"", b""], [b"", b""], [0, 0]),
}


def test_no_statement_is_forgotten() -> None:
    tables = rf"\b(FROM|JOIN|UPDATE|INTO) ({'|'.join(DISTRIBUTED)})\b"
    over_tables = {name for name, text in SQL.items() if re.search(tables, text)}
    assert over_tables == ARGUMENTS.keys()


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_every_scan_is_of_one_chain(name: str, pool: asyncpg.Pool) -> None:
    await pool.execute("SELECT ensure_partition(now())")
    scans = [node for node in nodes(await explain(pool, name)) if "Scan" in node.get("Node Type", "")]
    of_tables = [scan for scan in scans if "Relation Name" in scan]
    assert of_tables
    assert [scan for scan in of_tables if f"(chain_id = {CHAIN_ID})" not in scan.get("Index Cond", "")] == []


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_citus_sends_it_to_one_shard(name: str, citus_dsn: str) -> None:
    async with await open_pool(citus_dsn, connections=1, statement_timeout_seconds=10) as pool:
        await pool.execute("SELECT ensure_partition(now())")
        jobs = [node["Job"] for node in nodes(await explain(pool, name)) if "Job" in node]
        assert [job["Task Count"] for job in jobs] == [1]


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_of_several_chains_every_scan_is_of_one_at_a_time(name: str, pool: asyncpg.Pool) -> None:
    await pool.execute("SELECT ensure_partition(now())")
    statement = f"EXPLAIN (FORMAT JSON) {SHARED_SQL[name]}"
    [row] = await pool.fetch(statement, [CHAIN_ID, CHAIN_ID + 1], *ARGUMENTS[name])
    scans = [
        node
        for node in nodes(json.loads(row[0]))
        if "Relation Name" in node and "Scan" in node.get("Node Type", "")
    ]
    assert scans
    assert [scan for scan in scans if "(chain_id = " not in scan.get("Index Cond", "")] == []


async def test_without_citus_the_plans_are_generic(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SHOW plan_cache_mode") == "force_generic_plan"


async def test_without_citus_nothing_is_distributed(database: str) -> None:
    with pytest.raises(MigrationError, match="has no Citus: run CREATE EXTENSION citus on every node"):
        await distribute(database)


async def explain(pool: asyncpg.Pool, name: str) -> Any:
    """The plan as the service's own connections make it."""
    [row] = await pool.fetch(f"EXPLAIN (FORMAT JSON) {SQL[name]}", CHAIN_ID, *ARGUMENTS[name])
    return json.loads(row[0])
