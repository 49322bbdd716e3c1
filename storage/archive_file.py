"""A Parquet file of one partition's operations, sorted by chain, member and sequence.

The columns are those of the ledger: outcome and kind as its numbers, times as UTC microseconds, none of them
null. The file's metadata tells the partition, its range of time and the chains. Needs the extra `archive`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from itertools import repeat
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, NamedTuple, Self

from processor.domain.command import Kind
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome

try:
    import pyarrow as pa
    from pyarrow import dataset, parquet
except ModuleNotFoundError:  # an extra of the package; `require_pyarrow` says so to whoever needs it
    pa = None

ROW_GROUP_ROWS: Final = 20_000
# What archives of older programs lack, and what it was in those operations.
_LATER_COLUMNS: Final[Mapping[str, Any]] = MappingProxyType(
    {"discount_minor": 0, "original_key": "", "reason": "", "receipt_lines": "", "effects": b""}
)
# Of each column, as Operation names them.
_TYPES: Final[Mapping[str, type]] = MappingProxyType(
    {**Operation.__annotations__, "kind": Kind, "outcome": Outcome}
)
_METADATA_KEY: Final = b"loyalty.archive"


class ArchiveFileError(Exception):
    """A file is not an archive, or archives cannot be used here; the text says why."""


@contextmanager
def telling_of_files() -> Iterator[None]:
    """Turn what the operating system refuses into ArchiveFileError."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else _first_line(error)
        raise ArchiveFileError(f"cannot be used: {reason}") from error


class ChainPart(NamedTuple):
    """What a chain has in an archive."""

    name: str
    operations: int


class Header(NamedTuple):
    """What an archive is of: occurred_at from `from_us` to before `to_us`, and the chains by their id."""

    partition: str
    from_us: int
    to_us: int
    chains: Mapping[int, ChainPart]


class ArchiveWriter:
    """Writes a new archive, a row group at a time; a context manager. Raises ArchiveFileError."""

    @telling_of_files()
    def __init__(self, path: Path, header: Header) -> None:
        schema = _schema().with_metadata({_METADATA_KEY: _encode(header)})
        self._writer = parquet.ParquetWriter(path, schema, compression="zstd")
        self._schema = schema

    def __enter__(self) -> Self:
        return self

    @telling_of_files()
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    @telling_of_files()
    def write(self, operations: Sequence[Operation]) -> None:
        """Append one row group."""
        columns = zip(*operations, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))


class ArchiveFile:
    """An archive to read from. Raises ArchiveFileError if the file is none."""

    @telling_of_files()
    def __init__(self, path: Path) -> None:
        require_pyarrow()
        path.open("rb").close()
        try:
            self._file = parquet.ParquetFile(path)
            self._dataset = dataset.dataset(path)
        except pa.ArrowException as error:
            raise ArchiveFileError(f"is no Parquet file ({_first_line(error)})") from error
        if self._file.schema_arrow.remove_metadata() not in (_schema(), _older_schema()):
            raise ArchiveFileError("is no archive of a partition: its columns are others")
        self.header = _decode(self._file.schema_arrow.metadata[_METADATA_KEY])

    def operations(self) -> Iterator[Operation]:
        """All of them, with one row group in memory."""
        for number in range(self._file.num_row_groups):
            yield from _rows(self._file.read_row_group(number))

    def find(self, column: str, value: str | int) -> list[Operation]:
        """Those with that value in a column; only the row groups that may have it are read."""
        return list(_rows(self._dataset.to_table(filter=dataset.field(column) == value)))


def require_pyarrow() -> None:
    """Raise ArchiveFileError where the library is missing."""
    if pa is None:
        raise ArchiveFileError("archives need pyarrow: pip install 'loyalty-processor[archive]'")


def _schema() -> Any:
    return pa.schema(
        [
            pa.field(name.removesuffix("_us"), _type(name, kind), nullable=False)
            for name, kind in _TYPES.items()
        ]
    )


def _older_schema() -> Any:
    return pa.schema([field for field in _schema() if field.name not in _LATER_COLUMNS])


def _type(name: str, kind: type) -> Any:
    if name.endswith("_us"):
        return pa.timestamp("us", tz="UTC")
    if issubclass(kind, IntEnum):
        return pa.int16()
    return {int: pa.int64(), str: pa.string(), bytes: pa.binary()}[kind]


def _rows(table: Any) -> Iterator[Operation]:
    columns = [
        _values(table[field.name], kind)
        if field.name in table.column_names
        else repeat(_LATER_COLUMNS[field.name], table.num_rows)
        for field, kind in zip(_schema(), _TYPES.values(), strict=True)
    ]
    return map(Operation._make, zip(*columns, strict=True))


def _values(column: Any, kind: type) -> Iterable[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return map(kind, values) if issubclass(kind, IntEnum) else values


def _encode(header: Header) -> bytes:
    return json.dumps(header._asdict()).encode()


def _decode(text: bytes) -> Header:
    fields = json.loads(text)
    chains = {int(chain_id): ChainPart(*part) for chain_id, part in fields.pop("chains").items()}
    return Header(**fields, chains=chains)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
