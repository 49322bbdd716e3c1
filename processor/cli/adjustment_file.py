"""What the operator wants to give and take: one adjustment, or a CSV file of them."""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from processor.cli.csv_file import RowError, read_csv
from processor.cli.member_file import read_member_id
from processor.domain.command import SYSTEM_KEY_PREFIX
from processor.domain.limits import IDENTIFIER_CHARS_MAX, REDEEM_POINTS_MAX

_REST: Final = ["points", "reason", "key"]
_HEADERS: Final = (["member_id", *_REST], ["card", *_REST], ["member_id", "card", *_REST])
_POINTS: Final = re.compile(r"[+-]?[0-9]{1,13}")


class Reason(StrEnum):
    """Why, as people write it."""

    COMPENSATION = "compensation"
    SURVEY = "survey"
    REVIEW = "review"
    REFERRAL = "referral"
    CONTEST = "contest"
    CORRECTION = "correction"


class Adjustment(NamedTuple):
    """Points to give (or take, below zero) under an idempotency key; `member_id` is 0 if there is a card.

    `place` is where it comes from, as it is told.
    """

    place: str
    member_id: int
    card: str
    points: int
    reason: Reason
    key: str


def read_adjustments(file: Path) -> list[Adjustment]:
    """Read a file with the columns member_id or card (or both, one of them empty), points, reason, key.

    Raises InputFileError.
    """
    rows = read_csv(file, _HEADERS, _Parser())
    return [adjustment._replace(place=f"{file}:{line}") for line, adjustment in rows]


class _Parser:
    """Knows the keys that were there before: a key is for one adjustment."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def __call__(self, row: dict[str, str]) -> Adjustment:
        number, card = row.get("member_id", ""), row.get("card", "")
        if bool(number) == bool(card):
            raise RowError("must name the member, either by member_id or by card")
        if card:
            _check_identifier("card", card)
        member_id = read_member_id(number) if number else 0
        points, reason = _read_points(row["points"]), _read_reason(row["reason"])
        return Adjustment("", member_id, card, points, reason, self._read_key(row["key"]))

    def _read_key(self, text: str) -> str:
        problem = key_problem(text)
        if problem:
            raise RowError(f"key: {problem}")
        if text in self._keys:
            raise RowError(f"key: {text} is that of another line further up")
        self._keys.add(text)
        return text


def key_problem(text: str) -> str:
    """Why no call can have this key; empty if one can."""
    if not _is_identifier(text):
        return f"must be 1 to {IDENTIFIER_CHARS_MAX} printable characters, not {text!r}"
    if text.startswith(SYSTEM_KEY_PREFIX):
        return f"must not begin with {SYSTEM_KEY_PREFIX}"
    return ""


def _check_identifier(column: str, text: str) -> None:
    if not _is_identifier(text):
        raise RowError(f"{column}: must be 1 to {IDENTIFIER_CHARS_MAX} printable characters, not {text!r}")


def _is_identifier(text: str) -> bool:
    return 1 <= len(text) <= IDENTIFIER_CHARS_MAX and text.isprintable()


def _read_points(text: str) -> int:
    points = int(text) if _POINTS.fullmatch(text) else 0
    if not points or abs(points) > REDEEM_POINTS_MAX:
        most = f"{REDEEM_POINTS_MAX:,}"
        raise RowError(f"points: must be a whole number from -{most} to {most}, not 0, not {text!r}")
    return points


def _read_reason(text: str) -> Reason:
    known: Sequence[str] = list(Reason)
    if text not in known:
        raise RowError(f"reason: must be one of {', '.join(known)}, not {text!r}")
    return Reason(text)
