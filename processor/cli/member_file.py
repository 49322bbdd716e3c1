"""CSV files about members, read with every problem told by its line."""

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from processor.cli.csv_file import RowError, read_csv
from processor.domain.limits import IDENTIFIER_CHARS_MAX, MEMBER_ID_MAX
from storage.members import Member

_MEMBER_ID: Final = re.compile("[1-9][0-9]{0,18}")

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
    """A file of two columns, of which the first has the members' numbers."""

    def parse(row: dict[str, str]) -> tuple[int, str]:
        member_id, text = read_member_id(row["member_id"]), row[column]
        problem = check(member_id, text)
        if problem:
            raise RowError(f"{column}: {problem}")
        return member_id, text

    return [pair for _, pair in read_csv(file, [["member_id", column]], parse)]


def read_member_id(text: str) -> int:
    """A member's number. Raises RowError."""
    if not _MEMBER_ID.fullmatch(text) or int(text) > MEMBER_ID_MAX:
        raise RowError(f"member_id: must be a whole number from 1 to {MEMBER_ID_MAX}, not {text!r}")
    return int(text)
