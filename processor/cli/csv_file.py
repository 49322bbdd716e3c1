"""CSV files that commands are given, read with every problem told by its line."""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Generic, TextIO, TypeVar

from processor.cli.errors import InputFileError

T = TypeVar("T")
# Makes a value of the fields of a line, by their columns. Raises RowError.
Parse = Callable[[dict[str, str]], T]

_PROBLEMS_SHOWN: Final = 20


class RowError(Exception):
    """What is wrong with a line; begins with the column, where it is one."""


def read_csv(file: Path, headers: Sequence[Sequence[str]], parse: Parse[T]) -> list[tuple[int, T]]:
    """(line, value) of each line that is not empty. `headers` are those that the file may have.

    Raises InputFileError.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return _CsvFile(str(file), headers, parse).read(lines)
    except OSError as error:
        raise InputFileError([f"{file}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise InputFileError([f"{file}: is not UTF-8 text: {error}"]) from error


class _CsvFile(Generic[T]):
    def __init__(self, name: str, headers: Sequence[Sequence[str]], parse: Parse[T]) -> None:
        self._name = name
        self._headers = headers
        self._parse = parse
        self._problems: list[str] = []

    def read(self, lines: TextIO) -> list[tuple[int, T]]:
        rows = csv.reader(lines, strict=True)
        try:
            columns = self._check_header(next(rows, []))
            values = list(self._values(rows, columns))
        except csv.Error as error:
            raise InputFileError([f"{self._name}:{rows.line_num}: is not valid CSV: {error}"]) from error
        if self._problems:
            raise InputFileError(self._shown())
        return values

    def _check_header(self, header: list[str]) -> list[str]:
        if header not in [[*columns] for columns in self._headers]:
            known = " or ".join(",".join(columns) for columns in self._headers)
            raise InputFileError([f"{self._name}:1: must be {known}, the header, not {','.join(header)!r}"])
        return header

    def _values(self, rows: Iterator[list[str]], columns: Sequence[str]) -> Iterator[tuple[int, T]]:
        for row in filter(None, rows):
            line: int = rows.line_num  # type: ignore[attr-defined]
            try:
                yield line, self._value(row, columns)
            except RowError as problem:
                self._problems.append(f"{self._name}:{line}: {problem}")

    def _value(self, row: Sequence[str], columns: Sequence[str]) -> T:
        if len(row) != len(columns):
            raise RowError(f"must have {len(columns)} fields, not {len(row)}")
        return self._parse(dict(zip(columns, row, strict=True)))

    def _shown(self) -> list[str]:
        hidden = len(self._problems) - _PROBLEMS_SHOWN
        more = [f"{self._name}: and {hidden:,} more problems"] if hidden > 0 else []
        return self._problems[:_PROBLEMS_SHOWN] + more
