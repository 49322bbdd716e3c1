"""A CSV file of members, read with every problem told by its line."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from processor.cli.errors import InputFileError
from processor.domain.limits import IDENTIFIER_CHARS_MAX, MEMBER_ID_MAX
from storage.members import Member

_COLUMNS: Final = ["member_id", "card"]
_MEMBER_ID: Final = re.compile("[1-9][0-9]{0,18}")
_PROBLEMS_SHOWN: Final = 20


def read_members(file: Path) -> list[Member]:
    """Read a file with the header `member_id,card`; a member has a line for each card, which may be empty.

    Raises InputFileError.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return _MemberFile(str(file)).read(lines)
    except OSError as error:
        raise InputFileError([f"{file}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise InputFileError([f"{file}: is not UTF-8 text: {error}"]) from error


class _MemberFile:
    def __init__(self, name: str) -> None:
        self._name = name
        self._problems: list[str] = []
        self._owners: dict[str, int] = {}

    def read(self, lines: TextIO) -> list[Member]:
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
        if header != _COLUMNS:
            found = ",".join(header)
            raise InputFileError([f"{self._name}:1: must be {','.join(_COLUMNS)}, the header, not {found!r}"])

    def _members(self, rows: Iterator[list[str]]) -> Iterator[Member]:
        for row in rows:
            problem = self._problem(row) if row else ""
            if problem:
                self._problems.append(f"{self._name}:{rows.line_num}: {problem}")  # type: ignore[attr-defined]
            elif row:
                yield Member(int(row[0]), row[1])

    def _problem(self, row: list[str]) -> str:
        if len(row) != len(_COLUMNS):
            return f"must have {len(_COLUMNS)} fields, not {len(row)}"
        number, card = row
        if not _MEMBER_ID.fullmatch(number) or int(number) > MEMBER_ID_MAX:
            return f"member_id: must be a whole number from 1 to {MEMBER_ID_MAX}, not {number!r}"
        if len(card) > IDENTIFIER_CHARS_MAX or not card.isprintable():
            return f"card: must be at most {IDENTIFIER_CHARS_MAX} printable characters, not {card!r}"
        owner = self._owners.setdefault(card, int(number)) if card else int(number)
        if owner != int(number):
            return f"card: {card} belongs to member {owner} further up"
        return ""

    def _shown(self) -> list[str]:
        hidden = len(self._problems) - _PROBLEMS_SHOWN
        more = [f"{self._name}: and {hidden:,} more problems"] if hidden > 0 else []
        return self._problems[:_PROBLEMS_SHOWN] + more
