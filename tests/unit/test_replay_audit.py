"""The audit finds whatever is not as it must be."""

from typing import Any

import pytest

pytest.importorskip("pandas")

import pandas as pd

from benchmarks.replay.audit import differences
from benchmarks.replay.log import LogEntry

ENTRY = LogEntry(11, 7, 0, 0, 1, 0, 0, True, "", 5, 0, 25)


def audit(entry: LogEntry, *, after: int = 25, expected: dict[str, Any] | None = None) -> list[str]:
    """Audit one receipt of member 7, who had 20 points and must have 25."""
    log = pd.DataFrame([entry], columns=LogEntry._fields)
    columns = ["basket_id", "household_id", "position", "reason", "earned_points", "redeemed_points"]
    wanted = pd.DataFrame([ENTRY], columns=LogEntry._fields)[[*columns, "balance_points"]]
    return differences(log, wanted.assign(**(expected or {})), {7: 20}, {7: after})


def test_nothing_to_find() -> None:
    assert audit(ENTRY) == []


def test_a_wrong_balance() -> None:
    assert audit(ENTRY, after=26) == ["member 7: the balance is 26 points and must be 25"]


def test_a_member_without_receipts_keeps_their_balance() -> None:
    log = pd.DataFrame([ENTRY], columns=LogEntry._fields)

    assert differences(log, log, {7: 20, 8: 3}, {7: 25, 8: 4}) == [
        "member 8: the balance is 4 points and must be 3"
    ]


def test_a_wrong_answer() -> None:
    found = audit(ENTRY._replace(earned_points=6, reason="INSUFFICIENT_POINTS"))

    reason = "reason is 'INSUFFICIENT_POINTS' and must be ''"
    assert found == [f"receipt 11 of member 7: {reason}, earned_points is 6 and must be 5"]


def test_copies_that_were_answered_differently() -> None:
    entry = ENTRY._replace(copies=2, replays=1, answers_equal=False)

    assert audit(entry) == ["receipt 11: its 2 copies were answered differently"]


@pytest.mark.parametrize("copies, replays, repeats", [(3, 1, 0), (2, 0, 1), (1, 1, 0)])
def test_a_wrong_number_of_replays(copies: int, replays: int, repeats: int) -> None:
    entry = ENTRY._replace(copies=copies, replays=replays, repeats=repeats)

    assert audit(entry) == [f"receipt 11: {replays} of its {copies} copies were replays"]


@pytest.mark.parametrize("copies, replays, repeats", [(3, 2, 0), (1, 0, 0), (2, 2, 1), (2, 1, 1)])
def test_a_right_number_of_replays(copies: int, replays: int, repeats: int) -> None:
    assert audit(ENTRY._replace(copies=copies, replays=replays, repeats=repeats)) == []
