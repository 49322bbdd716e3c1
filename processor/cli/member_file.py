"""CSV files about members, read with every problem told by its line."""

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TextIO

from processor.cli.errors import InputFileError
from processor.domain.limits import IDENTIFIER_CHARS_MAX, MEMBER_ID_MAX
from storage.members import Member

_MEMBER_ID: Final = re.compile("[1-9][0-9]{0,18}")
_PROBLEMS_SHOWN: Final = 20

# What is wrong with a member's number and the text beside it; "" if nothing.
_Check = Callable[[int, str], str]


def read_members(file: Path) -> list[Member]:
    """Read a file with the header `member_id,card`; a member has a line for each card, which may be empty.

    Raises InputFileError.
    """
    return [Member(*row) for row in _read(file, "card", _CardCheck())]


def read_segments(file: Path) -> dict[int, set[str]]:
    """Read a file with the header `member_id,segment`; a member has a line for each, an empty one for none.

    Raises InputFileError.
    """
    segments: defaultdict[int, set[str]] = defaultdict(set)
    for member_id, segment in _read(file, "segment", _check_segment):
        segments[member_id].update([segment] if segment else [])
    return segments


def is_segment(text: str) -> bool:
    """Whether a segment can be named so."""
    return 1 <= len(text) <= IDENTIFIER_CHARS_MAX and text.isprintable() and "," not in text


def _check_segment(_member_id: int, segment: str) -> str:
    if segment and not is_segment(segment):
        return f"must be at most {IDENTIFIER_CHARS_MAX} printable characters and no comma, not {segment!r}"
    return ""


class _CardCheck:
    """A card belongs to one member."""

    def __init__(self) -> None:
        self._owners: dict[str, int] = {}

    def __call__(self, member_id: int, card: str) -> str:
        if len(card) > IDENTIFIER_CHARS_MAX or not card.isprintable():
            return f"must be at most {IDENTIFIER_CHARS_MAX} printable characters, not {card!r}"
        owner = self._owners.setdefault(card, member_id) if card else member_id
        return "" if owner == member_id else f"{card} belongs to member {owner} further up"


def _read(file: Path, column: str, check: _Check) -> list[tuple[int, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return _MemberFile(str(file), column, check).read(lines)
    except OSError as error:
        raise InputFileError([f"{file}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise InputFileError([f"{file}: is not UTF-8 text: {error}"]) from error


class _MemberFile:
    """A file of two columns, of which the first has the members' numbers."""

    def __init__(self, name: str, column: str, check: _Check) -> None:
        self._name = name
        self._column = column
        self._check = check
        self._problems: list[str] = []

    def read(self, lines: TextIO) -> list[tuple[int, str]]:
        rows = csv.reader(lines, strict=True)
        try:
            self._check_header(next(rows, []))
            members = list(self._members(rows))
        except csv.Error as error:
            raise InputFileError([f"{self._name}:{rows.line_num}: is not valid CSV: {error}"]) from error
        if self._problems:
            raise InputFileError(self._shown())
        return members

    def _check_header(self, header: list[str]) -> None:
        if header != ["member_id", self._column]:
            found = ",".join(header)
            raise InputFileError(
                [f"{self._name}:1: must be member_id,{self._column}, the header, not {found!r}"]
            )

    def _members(self, rows: Iterator[list[str]]) -> Iterator[tuple[int, str]]:
        for row in rows:
            problem = self._problem(row) if row else ""
            if problem:
                self._problems.append(f"{self._name}:{rows.line_num}: {problem}")  # type: ignore[attr-defined]
            elif row:
                yield int(row[0]), row[1]

    def _problem(self, row: list[str]) -> str:
        if len(row) != 2:
            return f"must have 2 fields, not {len(row)}"
        number, text = row
        if not _MEMBER_ID.fullmatch(number) or int(number) > MEMBER_ID_MAX:
            return f"member_id: must be a whole number from 1 to {MEMBER_ID_MAX}, not {number!r}"
        problem = self._check(int(number), text)
        return f"{self._column}: {problem}" if problem else ""

    def _shown(self) -> list[str]:
        hidden = len(self._problems) - _PROBLEMS_SHOWN
        more = [f"{self._name}: and {hidden:,} more problems"] if hidden > 0 else []
        return self._problems[:_PROBLEMS_SHOWN] + more
