"""From a detached partition to a Parquet file that is proven to hold the same, and then maybe to nothing."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from processor.domain.operation import Operation, entry_hash
from storage.archive_file import (
    ROW_GROUP_ROWS,
    ArchiveFile,
    ArchiveFileError,
    ArchiveWriter,
    ChainPart,
    Header,
    require_pyarrow,
    telling_of_files,
)
from storage.audit import MemberAudit
from storage.partitions import PartitionError
from storage.queries import load_queries

_SQL: Final = load_queries("archive")
_ROWS_AT_ONCE: Final = 2_000


class Archived(NamedTuple):
    """What an archive holds."""

    operations: int
    size_bytes: int


async def archive_partition(connection: asyncpg.Connection, name: str, file: Path, *, drop: bool) -> Archived:
    """Write a detached partition's operations to a new file and read them back; then `drop` the table.

    Memory does not grow with the partition. The file appears when it is proven and on disk, and the table
    goes after that. Raises PartitionError or ArchiveFileError.
    """
    require_pyarrow()
    header = await _describe(connection, name)
    with _new_file(file) as partial:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(_SQL["hold"].format(name=name))
            digest = await _write(connection, header, partial)
            archived = _prove(partial, digest)
            _keep(partial, file)
            if drop:
                await connection.execute(_SQL["drop"].format(name=name))
    return archived


async def _describe(connection: asyncpg.Connection, name: str) -> Header:
    if await connection.fetchval(_SQL["attached"], name):
        raise PartitionError(
            f"partition {name} is part of the ledger: take it out first with 'partitions detach {name}'"
        )
    rows = await connection.fetch(_SQL["detached"], name)
    if not rows:
        raise PartitionError(f"no partition {name!r} with operations was ever detached from the ledger")
    if not await connection.fetchval(_SQL["exists"], name):
        raise PartitionError(f"the table {name} is gone: it was dropped before")
    chains = {row["chain_id"]: ChainPart(row["name"], row["operations"]) for row in rows}
    return Header(name, rows[0]["range_from"], rows[0]["range_to"], chains)


@contextmanager
def _new_file(file: Path) -> Iterator[Path]:
    """A passing name beside the file, which must not be there yet."""
    if file.exists():
        raise ArchiveFileError("exists already: choose another name")
    partial = file.with_name(f"{file.name}.partial")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


async def _write(connection: asyncpg.Connection, header: Header, path: Path) -> bytes:
    digest = _Digest()
    with ArchiveWriter(path, header) as writer:
        async for operations in _row_groups(connection, header.partition):
            writer.write(list(digest.passing(operations)))
    return digest.value()


async def _row_groups(connection: asyncpg.Connection, name: str) -> AsyncIterator[list[Operation]]:
    group: list[Operation] = []
    async for row in connection.cursor(_SQL["operations"].format(name=name), prefetch=_ROWS_AT_ONCE):
        group.append(Operation(*row))
        if len(group) == ROW_GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _prove(path: Path, digest: bytes) -> Archived:
    """Read the file back: it has what was written, what was detached, and the members' hashes chain."""
    archive, reread = ArchiveFile(path), _Digest()
    counts: Counter[int] = Counter()
    by_member = groupby(reread.passing(archive.operations()), attrgetter("chain_id", "member_id"))
    for (chain_id, member_id), operations in by_member:
        counts[chain_id] += _prove_member(member_id, operations)
    if reread.value() != digest:
        raise ArchiveFileError("does not hold what was written to it: look after the disk, then repeat")
    for chain_id, part in archive.header.chains.items():
        if counts.pop(chain_id, 0) != part.operations:
            raise PartitionError(
                f"{archive.header.partition} does not have the {part.operations} operations of chain"
                f" {part.name} with which it was detached: find out who changed it"
            )
    if counts:
        raise PartitionError(f"{archive.header.partition} has operations of chains {sorted(counts)} since")
    return Archived(sum(part.operations for part in archive.header.chains.values()), path.stat().st_size)


def _prove_member(member_id: int, operations: Iterable[Operation]) -> int:
    """How many there are, each the right one after the one before it."""
    audit, count = MemberAudit(member_id, gaps_allowed=True), 0
    for operation in operations:
        count += 1
        for finding in audit.check_operation(operation):
            raise PartitionError(f"{finding.what} of member {member_id} is not what the ledger wrote")
    return count


@telling_of_files()
def _keep(partial: Path, file: Path) -> None:
    """Put the file in its place, safely on disk."""
    _sync(partial)
    partial.rename(file)
    _sync(file.parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


class _Digest:
    """A hash of operations in their order, of every column."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=32)

    def passing(self, operations: Iterable[Operation]) -> Iterator[Operation]:
        """Hand the operations on, and take them in."""
        for operation in operations:
            self._hash.update(entry_hash(operation.entry_hash, operation))
            yield operation

    def value(self) -> bytes:
        return self._hash.digest()
