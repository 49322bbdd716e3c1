"""Each statement of the hot path reads the rows of one chain alone, which Citus sends to one shard."""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from processor.domain.command import Kind
from storage.citus import DISTRIBUTED, ON_COORDINATOR, distribute, distribute_over
from storage.migrate import MigrationError
from storage.pool import open_pool
from storage.queries import load_queries
from tests.integration.plans import nodes

CHAIN_ID: Final = 1
OTHER_ID: Final = 4_711
NOW_US: Final = time.time_ns() // 1_000
SQL: Final = load_queries("ledger")
SHARED_SQL: Final = load_queries("shared")
# Of batches, and of the reads beside them.
SUBJECTS: Final = ("ledger", "cards", "membership", "reads")
# What follows the chain_id.
ARGUMENTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "read_accounts": ("{1,2}",),
    "lock_accounts": ("{1,2}",),
    "find_cards": ("{card-1,card-2}",),
    "probe_keys": ("{key-1,key-2}", NOW_US),
    "find_originals": ("{key-1,key-2}",),
    "find_followers": ("{key-1,key-2}", [Kind.RETURN]),
    "update_tallies": (["store"], *[[0]] * 8),
    "update_accounts": ("{1,2}", "{0,0}", "{1,1}", r'{"\\x","\\x"}', r'{"\\x","\\x"}', "{0,0}"),
}
# Those that read no table before they write.
INSERTED: Final[Mapping[str, tuple[Any, ...]]] = {
    "lock_tallies": (["store", "terminal"],),
    "note_due": ([NOW_US, NOW_US], [1, 2]),
}
# Tallies belong to batches of one chain alone.
SHARED: Final = sorted(ARGUMENTS.keys() & SHARED_SQL.keys())
SCALING: Final = Path(__file__).parents[2] / "docs/scaling.md"
# Read and written where a chain's lock is taken, on the coordinator.
LOCKED: Final = {"chain_home"}
TABLES: Final = """
    SELECT relname, relrowsecurity FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
FUNCTIONS: Final = "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"


def named_tables(text: str) -> set[str]:
    """What a statement, or the body of a function, reads or writes; functions and aliases too."""
    return set(re.findall(r"\b(?:FROM|JOIN|UPDATE|INTO) (\w+)\b", text))


def with_bodies(text: str, functions: Mapping[str, str]) -> str:
    """The text and the bodies of the functions that it calls, and of those that they call."""
    called = {name for name in re.findall(r"\b(\w+)\(", text) if name in functions}
    others = {name: body for name, body in functions.items() if name not in called}
    return text + "".join(with_bodies(functions[name], others) for name in called)


def test_no_statement_is_forgotten() -> None:
    over_tables = {name for name, text in SQL.items() if named_tables(text) & {*DISTRIBUTED}}
    assert over_tables == ARGUMENTS.keys() | INSERTED.keys()


async def test_every_table_has_its_place(owner: asyncpg.Connection) -> None:
    tables = {row["relname"] for row in await owner.fetch(TABLES)}
    assert sorted(tables) == sorted([*DISTRIBUTED, *ON_COORDINATOR])


async def test_what_is_seen_one_chain_at_a_time_is_distributed(owner: asyncpg.Connection) -> None:
    of_one_chain = {row["relname"] for row in await owner.fetch(TABLES) if row["relrowsecurity"]}
    assert of_one_chain - LOCKED == {*DISTRIBUTED}


async def test_batches_and_reads_touch_only_what_is_distributed(owner: asyncpg.Connection) -> None:
    tables = {row["relname"] for row in await owner.fetch(TABLES)}
    functions = {row[0]: row[1] for row in await owner.fetch(FUNCTIONS)}
    statements = [text for subject in SUBJECTS for text in load_queries(subject).values()]
    touched = named_tables(with_bodies("\n".join(statements), functions)) & tables
    assert touched == {*DISTRIBUTED, *LOCKED}


@pytest.mark.parametrize(
    "place, tables", [("distributed", DISTRIBUTED), ("on the coordinator", ON_COORDINATOR)]
)
def test_the_plan_is_written_down(place: str, tables: Sequence[str]) -> None:
    [row] = re.findall(rf"^\| (`.*) \| {place}.* \|.*\|$", SCALING.read_text(), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", row)) == sorted(tables)


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_every_scan_is_of_one_chain(name: str, pool: asyncpg.Pool) -> None:
    await pool.execute("SELECT ensure_partition(now())")
    scans = [node for node in nodes(await explain(pool, name)) if "Scan" in node.get("Node Type", "")]
    of_tables = [scan for scan in scans if "Relation Name" in scan]
    assert of_tables
    assert [scan for scan in of_tables if f"(chain_id = {CHAIN_ID})" not in scan.get("Index Cond", "")] == []


@pytest.mark.parametrize("name", INSERTED)
async def test_every_row_is_inserted_for_that_chain(name: str, pool: asyncpg.Pool) -> None:
    [row] = await pool.fetch(f"EXPLAIN (FORMAT JSON, VERBOSE) {SQL[name]}", OTHER_ID, *INSERTED[name])
    plan = list(nodes(json.loads(row[0])))
    assert [node["Operation"] for node in plan if "Operation" in node] == ["Insert"]
    # The chain_id is the first column of each table.
    assert [node["Output"][0] for node in plan if node.get("Alias") == "*SELECT*"] == [str(OTHER_ID)]


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_citus_sends_it_to_one_shard(name: str, citus_dsn: str) -> None:
    async with await open_pool(citus_dsn, connections=1, statement_timeout_seconds=10) as pool:
        await pool.execute("SELECT ensure_partition(now())")
        jobs = [node["Job"] for node in nodes(await explain(pool, name)) if "Job" in node]
        assert [job["Task Count"] for job in jobs] == [1]


@pytest.mark.parametrize("name", SHARED)
async def test_of_several_chains_every_scan_is_of_one_at_a_time(name: str, pool: asyncpg.Pool) -> None:
    await pool.execute("SELECT ensure_partition(now())")
    statement = f"EXPLAIN (FORMAT JSON) {SHARED_SQL[name]}"
    [row] = await pool.fetch(statement, f"{{{CHAIN_ID},{CHAIN_ID + 1}}}", *ARGUMENTS[name])
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


# As much of Citus as says which tables would be distributed, and beside which.
STAND_IN: Final = """
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    SELECT 1, 'citus', oid, 'public'::regnamespace, FALSE, '0' FROM pg_roles WHERE rolname = current_user;
    CREATE TABLE pg_dist_partition (logicalrelid regclass, key text, neighbour text);
    CREATE FUNCTION create_distributed_table(distributed regclass, key text, colocate_with text) RETURNS void
    LANGUAGE sql AS 'INSERT INTO pg_dist_partition VALUES (distributed, key, colocate_with)';
"""


@pytest.fixture
async def coordinator(owner: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """A stand-in, of which nothing is left: roles belong to the whole server."""
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(STAND_IN)
    yield owner
    await transaction.rollback()


async def test_every_planned_table_is_distributed_beside_the_accounts(
    coordinator: asyncpg.Connection,
) -> None:
    assert await distribute_over(coordinator)
    rows = await coordinator.fetch("SELECT logicalrelid::text, key, neighbour FROM pg_dist_partition")
    assert [tuple(row) for row in rows] == [
        (table, "chain_id", "default" if table == "account" else "account") for table in DISTRIBUTED
    ]
    secured = [row["relname"] for row in await coordinator.fetch(TABLES) if row["relrowsecurity"]]
    assert secured == [*LOCKED]
    assert not await distribute_over(coordinator)


async def test_a_table_that_came_later_is_distributed_too(coordinator: asyncpg.Connection) -> None:
    await distribute_over(coordinator)
    await coordinator.execute("DELETE FROM pg_dist_partition WHERE logicalrelid = 'due'::regclass")
    assert await distribute_over(coordinator)
    assert await coordinator.fetchval("SELECT count(*) FROM pg_dist_partition") == len(DISTRIBUTED)


async def explain(pool: asyncpg.Pool, name: str) -> Any:
    """The plan as the service's own connections make it."""
    [row] = await pool.fetch(f"EXPLAIN (FORMAT JSON) {SQL[name]}", CHAIN_ID, *ARGUMENTS[name])
    return json.loads(row[0])
