"""The recomputation: worked examples, and the service's own rules as a second opinion."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.domain.account import Account
from processor.domain.command import Command, Kind, LineItem, Receipt
from processor.domain.decide import decide
from processor.domain.outcomes import Outcome
from processor.domain.program import Program, Rounding, RoundingScope

pytest.importorskip("pandas")

import pandas as pd

from benchmarks.replay.log import Standing
from benchmarks.replay.recompute import recompute

Basket = tuple[list[int], int]
PROGRAM = Program(1, 0, 1, 100, Rounding.HALF_UP, RoundingScope.LINE, 1, 1, 50, 50)


def standings(points: int) -> dict[int, Standing]:
    return {7: Standing(points, points, 0, "")}


def outcomes(*baskets: Basket, balance: int = 0) -> list[tuple[str, int, int, int]]:
    """(reason, earned, redeemed, balance) of one household's baskets: amounts of lines, points asked for."""
    log = pd.DataFrame(
        [(number, 7, number, points) for number, (_, points) in enumerate(baskets)],
        columns=["basket_id", "household_id", "position", "redeem_points"],
    )
    rows = [(number, amount) for number, (amounts, _) in enumerate(baskets) for amount in amounts]
    lines = pd.DataFrame(rows, columns=["basket_id", "amount_minor"])
    found: Any = recompute(log, lines, standings(balance)).calls
    columns = ["reason", "earned_points", "redeemed_points", "balance_points"]
    return list(found[columns].itertuples(index=False, name=None))


def test_every_line_is_rounded_half_up_by_itself() -> None:
    assert outcomes(([49], 0), ([50], 0), ([149, 150], 0), ([50, 50, 50], 0)) == [
        ("", 0, 0, 0),
        ("", 1, 0, 1),
        ("", 3, 0, 4),
        ("", 3, 0, 7),
    ]


def test_points_are_earned_on_what_is_paid_with_money() -> None:
    # 100 points pay 33 of the first line and 67 of the second: 167 and 333 remain.
    assert outcomes(([200, 400], 100), balance=100) == [("", 5, 100, 5)]


def test_the_odd_unit_goes_to_the_larger_of_equal_remainders() -> None:
    # 51 of 200: 12.75 and 38.25. The odd unit is the first line's: 37 and 112 remain.
    assert outcomes(([50, 150], 51), balance=51) == [("", 1, 51, 1)]
    # 50 of 100 and 300: 12.5 and 37.5. It is the larger line's: 88 and 262 remain.
    assert outcomes(([100, 300], 50), balance=50) == [("", 4, 50, 4)]


def test_of_several_reasons_the_first_counts() -> None:
    assert outcomes(([10], 49), ([10], 50), ([1000], 500), ([1000], 501)) == [
        ("REDEMPTION_BELOW_MINIMUM", 0, 0, 0),
        ("REDEMPTION_ABOVE_LIMIT", 0, 0, 0),
        ("INSUFFICIENT_POINTS", 0, 0, 0),
        ("REDEMPTION_ABOVE_LIMIT", 0, 0, 0),
    ]


def test_a_refusal_leaves_the_balance_for_the_next() -> None:
    assert outcomes(([10_000], 0), ([400], 101), ([200], 100)) == [
        ("", 100, 0, 100),
        ("INSUFFICIENT_POINTS", 0, 0, 100),
        ("", 1, 100, 1),
    ]


def test_calls_count_in_the_order_sent() -> None:
    log = pd.DataFrame(
        {"basket_id": [1, 2], "household_id": [7, 7], "position": [1, 0], "redeem_points": [50, 0]}
    )
    lines = pd.DataFrame({"basket_id": [1, 2], "amount_minor": [100, 5000]})

    found = recompute(log, lines, standings(0))
    assert found.calls.basket_id.to_list() == [2, 1]
    assert found.calls.balance_points.to_list() == [50, 1]
    assert found.standings == standings(1)


amounts = st.lists(st.integers(0, 5_000), min_size=1, max_size=12).filter(any)
baskets = st.tuples(amounts, st.one_of(st.just(0), st.integers(1, 3_000)))


def decided(amounts: list[int], points: int, balance: int) -> tuple[str, int, int, int]:
    """The same of one basket, by the rules of the service."""
    lines = tuple(LineItem("sku", 1_000, amount, "") for amount in amounts)
    receipt = Receipt("receipt", sum(amounts), lines)
    command = Command(Kind.CHECKOUT, "key", 7, "", 0, "store", "", receipt, points)
    decision = decide(Account(7, balance, 0, b""), command, PROGRAM)
    reason = "" if decision.outcome is Outcome.APPLIED else decision.outcome.name
    after = balance + decision.earned_points - decision.redeemed_points
    return reason, decision.earned_points, decision.redeemed_points, after


@settings(max_examples=40, deadline=None)
@given(st.lists(baskets, min_size=1, max_size=20), st.integers(0, 2_000))
def test_it_agrees_with_the_rules_of_the_service(baskets: list[Basket], balance: int) -> None:
    expected = [("", 0, 0, balance)]
    for amounts, points in baskets:
        expected.append(decided(amounts, points, expected[-1][3]))

    assert outcomes(*baskets, balance=balance) == expected[1:]
