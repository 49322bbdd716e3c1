"""Each statement of the hot path reads the rows of one chain alone, which Citus sends to one shard."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import asyncpg
import pytest

from processor.domain.command import Kind
from storage.citus import DISTRIBUTED, distribute
from storage.migrate import MigrationError
from storage.pool import open_pool
from storage.queries import load_queries

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


# What a row is looked up by, beside its chain.
LOOKED_UP_BY: Final = {
    "read_accounts": "member_id",
    "lock_accounts": "member_id",
    "find_cards": "card",
    "probe_keys": "idempotency_key",
    "find_originals": "idempotency_key",
    "find_followers": "original_key",
    "update_accounts": "member_id",
}


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_every_row_is_looked_up_by_itself_whatever_is_known_of_the_table(
    name: str, pool: asyncpg.Pool
) -> None:
    """A plan is kept: one that reads the whole chain is made when it has no members, and met when it has."""
    await pool.execute("SELECT ensure_partition(now())")
    for plan in (await explain(pool, name), await explain_shared(pool, name)):
        scans = [node for node in nodes(plan) if "Relation Name" in node and "Index Cond" in node]
        assert scans
        by = rf"\({LOOKED_UP_BY[name]} = \w+\.{LOOKED_UP_BY[name]}\)"
        assert [scan["Index Cond"] for scan in scans if not re.search(by, scan["Index Cond"])] == []


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_citus_sends_it_to_one_shard(name: str, citus_dsn: str) -> None:
    async with await open_pool(citus_dsn, connections=1, statement_timeout_seconds=10) as pool:
        await pool.execute("SELECT ensure_partition(now())")
        jobs = [node["Job"] for node in nodes(await explain(pool, name)) if "Job" in node]
        assert [job["Task Count"] for job in jobs] == [1]


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_of_several_chains_every_scan_is_of_one_at_a_time(name: str, pool: asyncpg.Pool) -> None:
    await pool.execute("SELECT ensure_partition(now())")
    scans = [
        node
        for node in nodes(await explain_shared(pool, name))
        if "Relation Name" in node and "Scan" in node.get("Node Type", "")
    ]
    assert scans
    assert [scan for scan in scans if "(chain_id = " not in scan.get("Index Cond", "")] == []


async def test_without_citus_the_plans_are_generic(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SHOW plan_cache_mode") == "force_generic_plan"


async def test_without_citus_nothing_is_distributed(database: str) -> None:
    with pytest.raises(MigrationError, match="has no Citus: run CREATE EXTENSION citus on every node"):
        await distribute(database)


async def explain_shared(pool: asyncpg.Pool, name: str) -> Any:
    statement = f"EXPLAIN (FORMAT JSON) {SHARED_SQL[name]}"
    [row] = await pool.fetch(statement, [CHAIN_ID, CHAIN_ID + 1], *ARGUMENTS[name])
    return json.loads(row[0])


async def explain(pool: asyncpg.Pool, name: str) -> Any:
    """The plan as the service's own connections make it."""
    [row] = await pool.fetch(f"EXPLAIN (FORMAT JSON) {SQL[name]}", CHAIN_ID, *ARGUMENTS[name])
    return json.loads(row[0])


def nodes(plan: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a plan, however deep."""
    if isinstance(plan, dict):
        yield plan
        for inner in plan.values():
            yield from nodes(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from nodes(inner)
