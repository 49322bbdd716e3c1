"""Migrations, on databases of every age."""

import asyncio
import re
import subprocess
from collections.abc import Iterator

import pytest

from storage import migrate as migrating
from storage.embedded.launch import wheel_binaries
from storage.migrate import Migration, MigrationError, migrate, migrations, pending
from storage.pool import SERVICE_ROLE, connect
from tests.postgres import Server

# Rows that a database of a version may hold, put in before the next version comes.
ROWS = {
    2: "INSERT INTO chain (name) VALUES ('corner-shop');"
    "INSERT INTO program SELECT chain_id, 1, now(), '{}' FROM chain",
    3: "INSERT INTO account (chain_id, member_id) SELECT 1, generate_series(1, 100);"
    "INSERT INTO card SELECT 1, 'card-' || generate_series(1, 100), generate_series(1, 100)",
    4: "SELECT ensure_partition(now())",
}
# The migrations that are applied to each partition.
INDEX_OF_ORIGINALS = 15
OWN_CHAINS = 22


@pytest.fixture
def other_database(postgres: Server) -> Iterator[str]:
    with postgres.database(template="template0") as dsn:
        yield dsn


async def execute(dsn: str, statement: str) -> None:
    connection = await connect(dsn)
    await connection.execute(statement)
    await connection.close()


async def catalogue(dsn: str) -> str:
    """Everything that the database defines, as pg_dump writes it, without the partitions of the ledger."""
    process = await asyncio.create_subprocess_exec(
        wheel_binaries() / "pg_dump",
        "--schema-only",
        "--exclude-table=operation_2*",
        dsn,
        stdout=subprocess.PIPE,
    )
    dump, _ = await process.communicate()
    assert process.returncode == 0
    return re.sub(r"^\\(un)?restrict .*\n", "", dump.decode(), flags=re.MULTILINE)


def with_migration(monkeypatch: pytest.MonkeyPatch, sql: str) -> Migration:
    """Make the program know one migration more."""
    extra = Migration(len(migrations()) + 1, "extra", "0" * 64, sql)
    known = (*migrations(), extra)
    monkeypatch.setattr(migrating, "migrations", lambda: known)
    return extra


def test_versions_are_numbered_from_one_without_gaps() -> None:
    assert [step.version for step in migrations()] == list(range(1, len(migrations()) + 1))


async def test_a_new_database_gets_every_migration_once(empty_database: str) -> None:
    assert await pending(empty_database) == list(migrations())
    told: list[Migration] = []
    assert await migrate(empty_database, on_step=told.append) == list(migrations())
    assert told == list(migrations())
    assert await pending(empty_database) == []
    assert await migrate(empty_database) == []


async def test_step_by_step_gives_the_same_database_as_all_at_once(
    empty_database: str, other_database: str
) -> None:
    await migrate(empty_database)
    for step in migrations():
        assert await migrate(other_database, to=step.version) == [step]
        await execute(other_database, ROWS.get(step.version, "SELECT"))
    assert await catalogue(other_database) == await catalogue(empty_database)


async def test_a_partition_of_before_gets_its_index_also_after_an_attempt_that_was_broken_off(
    empty_database: str,
) -> None:
    await migrate(empty_database, to=INDEX_OF_ORIGINALS - 2)
    await execute(empty_database, "SELECT ensure_partition('2026-01-15')")
    await migrate(empty_database, to=INDEX_OF_ORIGINALS - 1)
    await execute(empty_database, "CREATE INDEX operation_20260101_original ON operation_20260101 (chain_id)")
    await migrate(empty_database)
    await execute(empty_database, "SELECT ensure_partition('2026-02-15')")
    connection = await connect(empty_database)
    indexes = await connection.fetch(
        "SELECT replace(indexdef, tablename, '') AS definition FROM pg_indexes"
        " WHERE indexname LIKE 'operation_2026%_original'"
    )
    await connection.close()
    definition = "USING btree (chain_id, original_key) WHERE (original_key <> ''::text)"
    assert [row["definition"] for row in indexes] == [f"CREATE INDEX _original ON public. {definition}"] * 2


async def test_a_partition_of_before_takes_rows_of_several_chains(empty_database: str) -> None:
    await migrate(empty_database, to=OWN_CHAINS - 2)
    await execute(empty_database, "SELECT ensure_partition('2026-01-15')")
    await migrate(empty_database)
    await execute(empty_database, "SELECT ensure_partition('2026-02-15')")
    connection = await connect(empty_database)
    checks = await connection.fetch(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'own_chain' ORDER BY 1"
    )
    await connection.close()
    assert [row[0] for row in checks] == [
        "CHECK (is_own_chain(chain_id))",
        "CHECK (is_own_chain(chain_id)) NOT VALID",
    ]


async def test_processes_that_migrate_at_once_take_turns(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database) for _ in range(8)))
    assert sorted(applied, key=len) == [[]] * 7 + [list(migrations())]


async def test_two_new_databases_of_one_server_share_the_role(
    empty_database: str, other_database: str
) -> None:
    for applied in await asyncio.gather(migrate(empty_database), migrate(other_database)):
        assert applied == list(migrations())


async def test_a_changed_file_is_refused(database: str) -> None:
    await execute(database, "UPDATE schema_migration SET sha256 = 'other' WHERE version = 3")
    with pytest.raises(MigrationError, match=r"^migration 0003_accounts is not the file .* checksum"):
        await migrate(database)
    with pytest.raises(MigrationError, match="checksum"):
        await pending(database)


async def test_a_newer_database_is_refused(database: str) -> None:
    await execute(database, "INSERT INTO schema_migration VALUES (99, 'future', '')")
    with pytest.raises(MigrationError, match="the database is at version 99 and this program knows"):
        await migrate(database)


@pytest.mark.parametrize("version", [-1, 9999])
async def test_an_unknown_target_is_refused(database: str, version: int) -> None:
    with pytest.raises(MigrationError, match=f"there is no migration {version}"):
        await migrate(database, to=version)


async def test_a_failing_migration_leaves_nothing_behind(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await catalogue(database)
    extra = with_migration(monkeypatch, "CREATE TABLE half (); SELECT 1 / 0")
    with pytest.raises(MigrationError, match=f"^migration {extra} failed: division by zero$"):
        await migrate(database)
    assert await catalogue(database) == before
    assert await pending(database) == [extra]


async def test_a_locked_table_is_waited_for_in_short_attempts(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = with_migration(monkeypatch, "ALTER TABLE chain ADD COLUMN extra text")
    monkeypatch.setattr(migrating, "_LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(migrating, "_PAUSE_SECONDS", 0)
    reader = await connect(database)
    await reader.execute("BEGIN; SELECT FROM chain")
    with pytest.raises(MigrationError, match="found its tables locked 5 times"):
        await migrate(database)
    await reader.execute("COMMIT")
    assert await migrate(database) == [extra]
    await reader.close()


async def test_who_may_not_create_tables_is_told_so(empty_database: str) -> None:
    dsn = f"{empty_database}{'&' if '?' in empty_database else '?'}role={SERVICE_ROLE}"
    with pytest.raises(MigrationError, match=r"^permission denied for schema public: migrate with a login"):
        await migrate(dsn)


async def test_functions_look_at_temporary_tables_last(database: str) -> None:
    connection = await connect(database)
    settings = await connection.fetch(
        "SELECT proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    await connection.close()
    assert len(settings) == 13
    assert all("search_path=public, pg_temp" in row["proconfig"] for row in settings)
