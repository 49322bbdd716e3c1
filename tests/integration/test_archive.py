"""Detached partitions as Parquet files: what goes in comes out, and nothing is dropped unproven."""

import re
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pyarrow as pa
import pytest
from pyarrow import parquet

from processor.domain.operation import Operation, seal
from storage import archive_file
from storage.archive import archive_partition
from storage.archive_file import ArchiveFile, ArchiveFileError, ChainPart, Header
from storage.partitions import PartitionError, detach_partition
from storage.verify import verify
from tests.history import (
    COLUMNS,
    DAY_US,
    START_US,
    accrual,
    add_chain,
    dated_history,
    decided,
    redemption,
    write,
)

NAME = "operation_20260101"
GUIDE = Path(__file__).parents[2] / "docs/backup.md"
# As docs/backup.md calls what pyarrow does.
TYPES = {"timestamp, µs, UTC": "timestamp[us, tz=UTC]"}
LATER_TEXTS = ("original_key", "reason", "receipt_lines")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "january.parquet"


@pytest.fixture
async def january(owner: asyncpg.Connection) -> list[Operation]:
    """The operations of two chains in a partition that has left the ledger; a member has one in the next."""
    written = []
    for name, members in (("corner-shop", range(1, 41)), ("other-shop", range(1, 4))):
        chain_id = await add_chain(owner, name)
        commands = [
            command
            for member in members
            for command in (
                accrual(f"a-{member}", member),
                redemption(f"b-{member}", member, 2 * member),
                accrual(f"c-{member}", member, occurred_at_us=START_US + DAY_US),
            )
        ]
        later = accrual("february", 1, occurred_at_us=START_US + 31 * DAY_US)
        operations = decided(chain_id, [*commands, later])
        await write(owner, operations)
        written += operations[:-1]
    await detach_partition(owner, NAME)
    return written


async def exists(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", NAME))


async def test_what_goes_in_comes_out(
    owner: asyncpg.Connection, january: list[Operation], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.archive.ROW_GROUP_ROWS", 50)
    archived = await archive_partition(owner, NAME, file, drop=False)
    assert archived.operations == len(january)
    assert archived.size_bytes > 10_000
    assert await exists(owner)
    read = ArchiveFile(file)
    assert list(read.operations()) == january
    assert read.header == Header(
        NAME,
        START_US,
        START_US + 31 * DAY_US,
        {1: ChainPart("corner-shop", 120), 2: ChainPart("other-shop", 9)},
    )
    assert read.find("idempotency_key", "b-17") == [row for row in january if row.idempotency_key == "b-17"]
    assert read.find("member_id", 2) == [row for row in january if row.member_id == 2]
    assert read.find("member_id", 99) == []


async def test_any_reader_of_parquet_understands_it(
    owner: asyncpg.Connection, january: list[Operation], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.archive.ROW_GROUP_ROWS", 50)
    await archive_partition(owner, NAME, file, drop=False)
    content = parquet.ParquetFile(file)
    assert [content.metadata.row_group(n).num_rows for n in range(content.num_row_groups)] == [50, 50, 29]
    assert content.metadata.row_group(0).column(0).compression == "ZSTD"
    types = {field.name: str(field.type) for field in content.schema_arrow}
    assert types["occurred_at"] == types["recorded_at"] == "timestamp[us, tz=UTC]"
    assert (types["chain_id"], types["outcome"], types["response"]) == ("int64", "int16", "binary")
    assert not any(field.nullable for field in content.schema_arrow)
    assert content.read()["balance_points"].to_pylist() == [row.balance_points for row in january]


@pytest.mark.usefixtures("january")
async def test_the_table_goes_only_with_drop_and_verify_stays_clean(
    owner: asyncpg.Connection, database: str, file: Path
) -> None:
    before = await verify(database)
    await archive_partition(owner, NAME, file, drop=True)
    assert not await exists(owner)
    assert await verify(database) == before
    assert (before.differences, before.unchecked) == ([], 129)
    with pytest.raises(PartitionError, match="is gone: it was dropped before"):
        await archive_partition(owner, NAME, file.with_name("again"), drop=True)


async def test_an_attached_partition_is_refused(owner: asyncpg.Connection, file: Path) -> None:
    await write(owner, decided(await add_chain(owner, "corner-shop"), [accrual("a", 1)]))
    with pytest.raises(PartitionError, match=f"is part of the ledger: .* 'partitions detach {NAME}'"):
        await archive_partition(owner, NAME, file, drop=True)


@pytest.mark.parametrize("name", ["account_00", "operation", 'x"; DROP TABLE operation', ""])
async def test_only_what_was_a_partition_is_archived(
    name: str, owner: asyncpg.Connection, file: Path
) -> None:
    with pytest.raises(PartitionError, match="was ever detached"):
        await archive_partition(owner, name, file, drop=True)


@pytest.mark.usefixtures("january")
@pytest.mark.parametrize(
    "change, message",
    [
        (
            "DELETE FROM {name} WHERE idempotency_key = 'c-7'",
            "does not have the 120 operations of chain corner",
        ),
        ("DELETE FROM {name} WHERE chain_id = 2", "does not have the 9 operations of chain other-shop"),
        (
            "UPDATE {name} SET earned_points = 9 WHERE idempotency_key = 'c-7'",
            "balance_points of c-7 of member 7",
        ),
        ("UPDATE {name} SET store_id = '' WHERE idempotency_key = 'c-7'", "entry_hash of c-7 of member 7"),
    ],
)
async def test_a_changed_table_is_kept(
    change: str, message: str, owner: asyncpg.Connection, file: Path
) -> None:
    await owner.execute(f"ALTER TABLE {NAME} DROP CONSTRAINT own_chain")
    await owner.execute(change.format(name=NAME))
    with pytest.raises(PartitionError, match=message):
        await archive_partition(owner, NAME, file, drop=True)
    assert await exists(owner)
    assert list(file.parent.iterdir()) == []


@pytest.mark.usefixtures("january")
async def test_rows_that_came_after_the_detachment_are_told(owner: asyncpg.Connection, file: Path) -> None:
    late = decided(3, [accrual("late", 1)])
    await owner.copy_records_to_table(NAME, records=late, columns=COLUMNS)
    with pytest.raises(PartitionError, match=r"has operations of chains \[3\]"):
        await archive_partition(owner, NAME, file, drop=True)


@pytest.mark.usefixtures("january")
async def test_a_file_that_reads_back_otherwise_is_not_kept(
    owner: asyncpg.Connection, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(archive_file.ArchiveWriter):
        def write(self, operations: Sequence[Operation]) -> None:
            super().write(operations[:-1])

    monkeypatch.setattr("storage.archive.ArchiveWriter", Forgetful)
    with pytest.raises(ArchiveFileError, match="does not hold what was written"):
        await archive_partition(owner, NAME, file, drop=True)
    assert await exists(owner)
    assert list(file.parent.iterdir()) == []


@pytest.mark.usefixtures("january")
async def test_an_archive_from_before_is_read(owner: asyncpg.Connection, file: Path) -> None:
    await archive_partition(owner, NAME, file, drop=False)
    operations = list(ArchiveFile(file).operations())
    table = parquet.read_table(file)
    parquet.write_table(table.drop(["discount_minor", *LATER_TEXTS, "effects"]), file)
    assert list(ArchiveFile(file).operations()) == operations
    assert ArchiveFile(file).find("member_id", 2) == [row for row in operations if row.member_id == 2]


async def test_every_column_comes_out(owner: asyncpg.Connection, file: Path) -> None:
    chain_id = await add_chain(owner, "corner-shop")
    rich = dated_history(chain_id, 1, [START_US + DAY_US])[0]._replace(discount_minor=7, original_key="key")
    rich = rich._replace(reason="a reason", receipt_lines="sku\t1000\t100\twine")
    rich = seal(rich, b"reply", b"")
    await write(owner, [rich])
    await detach_partition(owner, NAME)
    await archive_partition(owner, NAME, file, drop=True)
    assert list(ArchiveFile(file).operations()) == [rich]
    assert rich.effects


def test_other_files_are_told_apart(file: Path) -> None:
    file.write_text("text")
    with pytest.raises(ArchiveFileError, match="is no Parquet file"):
        ArchiveFile(file)
    parquet.write_table(pa.table({"key": [1]}), file)
    with pytest.raises(ArchiveFileError, match="its columns are others"):
        ArchiveFile(file)


async def test_the_guide_lists_the_columns_in_their_order(
    owner: asyncpg.Connection, january: list[Operation], file: Path
) -> None:
    await archive_partition(owner, NAME, file, drop=False)
    rows = re.findall(r"^\| (`.+?`) \| (.+?) \|", GUIDE.read_text(), re.MULTILINE)
    told = [(name, TYPES.get(kind, kind)) for names, kind in rows for name in re.findall(r"`(\w+)`", names)]

    assert january
    assert told == [(field.name, str(field.type)) for field in parquet.read_schema(file)]
