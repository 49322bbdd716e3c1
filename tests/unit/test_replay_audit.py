"""The audit finds whatever is not as it must be."""

from collections.abc import Sequence

import pytest

pytest.importorskip("pandas")

import pandas as pd

from benchmarks.replay.audit import differences
from benchmarks.replay.log import LogEntry, Standing
from benchmarks.replay.recompute import Recomputed

ENTRY = LogEntry(
    basket_id=11,
    return_number=0,
    household_id=7,
    position=0,
    occurred_at_us=0,
    recorded_at_us=1,
    is_offline=False,
    redeem_points=0,
    returned="",
    copies=1,
    repeats=0,
    replays=0,
    answers_equal=True,
    reason="",
    earned_points=5,
    redeemed_points=0,
    redeemed_minor=0,
    discount_minor=0,
    money_minor=500,
    shortfall_points=0,
    shortfall_minor=0,
    balance_points=25,
    available_points=25,
    pending_points=0,
    tier="",
)
PLAIN = ["reason", "earned_points", "redeemed_points", "balance_points"]


def standing(points: int, pending_points: int = 0) -> Standing:
    return Standing(points, points - pending_points, pending_points, "")


def audit(
    entry: LogEntry, *, after: Standing | None = None, columns: Sequence[str] = PLAIN, name: int = 0
) -> list[str]:
    """Audit one call of member 7, who must have 25 points after it; these columns are known."""
    log = pd.DataFrame([entry], columns=LogEntry._fields)
    wanted = pd.DataFrame([ENTRY._replace(return_number=name)], columns=LogEntry._fields)
    calls = wanted[["basket_id", "return_number", "household_id", *columns]]
    return differences(log, Recomputed(calls, {7: standing(25)}), {7: after or standing(25)})


def test_nothing_to_find() -> None:
    assert audit(ENTRY) == []


def test_a_wrong_balance() -> None:
    assert audit(ENTRY, after=standing(26)) == ["member 7: the balance is 26 points and must be 25"]


def test_a_balance_that_is_right_in_sum_alone() -> None:
    [found] = audit(ENTRY, after=standing(25, pending_points=1))

    assert found.startswith("member 7: stands at Standing(balance_points=25, available_points=24, ")


def test_a_member_without_receipts_keeps_their_balance() -> None:
    log = pd.DataFrame([ENTRY], columns=LogEntry._fields)
    expected = Recomputed(log, {7: standing(25), 8: standing(3)})

    assert differences(log, expected, {7: standing(25), 8: standing(4)}) == [
        "member 8: the balance is 4 points and must be 3"
    ]


def test_a_wrong_answer() -> None:
    found = audit(ENTRY._replace(earned_points=6, reason="INSUFFICIENT_POINTS"))

    reason = "reason is 'INSUFFICIENT_POINTS' and must be ''"
    assert found == [f"receipt 11 of member 7: {reason}, earned_points is 6 and must be 5"]


def test_only_what_is_known_is_compared() -> None:
    paid = ENTRY._replace(money_minor=501)

    assert audit(paid) == []
    assert audit(paid, columns=["money_minor"]) == [
        "receipt 11 of member 7: money_minor is 501 and must be 500"
    ]


def test_a_return_is_told_from_its_receipt() -> None:
    returned = ENTRY._replace(return_number=2, earned_points=6)

    assert audit(returned, name=2) == ["return 2 of receipt 11 of member 7: earned_points is 6 and must be 5"]
    assert len(audit(returned, name=1)) == 2


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
