"""What must have come of the receipts under the plain rules, computed from these alone (docs/replay.md).

Nothing of the service is used here: points are earned in columns, redemptions are followed household by
household in the order in which they were sent.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from benchmarks.replay.log import Standing
from benchmarks.replay.program import (
    MINIMUM_POINTS,
    POINTS_PER_STEP,
    STEP_MINOR,
    limit_points,
)


class Recomputed(NamedTuple):
    """What every call must have been told, and where every member must stand in the end.

    `calls` has some of the log's columns, and those that name a call: basket_id, return_number, household_id.
    """

    calls: pd.DataFrame
    standings: dict[int, Standing]


def recompute(log: pd.DataFrame, lines: pd.DataFrame, before: Mapping[int, Standing]) -> Recomputed:
    """The log's columns reason, earned_points, redeemed_points and balance_points as they must be.

    `log` needs basket_id, household_id, position and redeem_points alone; `lines` are those of the receipts;
    `before` is where the households stood before the first receipt.
    """
    balances = {household_id: standing.balance_points for household_id, standing in before.items()}
    calls = _outcomes(log, lines, balances)
    balances |= calls.groupby("household_id").balance_points.last().to_dict()
    standings = {household_id: Standing(points, points, 0, "") for household_id, points in balances.items()}
    return Recomputed(calls.assign(return_number=0), standings)


def _outcomes(log: pd.DataFrame, lines: pd.DataFrame, balances: Mapping[int, int]) -> pd.DataFrame:
    """One row a receipt, by household and position."""
    calls = log[["basket_id", "household_id", "position", "redeem_points"]]
    totals = lines.groupby("basket_id").amount_minor.sum().rename("total_minor")
    calls = calls.join(totals, on="basket_id")
    calls = calls.join(_earned_if_applied(calls, lines), on="basket_id")
    calls = calls.sort_values(["household_id", "position"], ignore_index=True)
    outcomes = pd.DataFrame(
        _follow(calls, balances),
        columns=["reason", "earned_points", "redeemed_points", "balance_points"],
        index=calls.index,
    )
    return pd.concat([calls[["basket_id", "household_id", "position"]], outcomes], axis=1)


def _earned_if_applied(calls: pd.DataFrame, lines: pd.DataFrame) -> pd.Series:
    """Points by basket_id: every line, less its share of what the points pay, rounded half up to a step."""
    paid = lines.merge(calls[["basket_id", "redeem_points", "total_minor"]], on="basket_id")
    paid_minor = paid.amount_minor - _shares_minor(paid)
    steps = (2 * paid_minor + STEP_MINOR) // (2 * STEP_MINOR)
    return (steps * POINTS_PER_STEP).groupby(paid.basket_id).sum().rename("earned_points")


def _shares_minor(paid: pd.DataFrame) -> pd.Series:
    """What the points pay of each line: in proportion to its amount, what is left by the largest remainder.

    Of equal remainders the line of the larger amount comes first. A point pays one minor unit.
    """
    weighted = paid.redeem_points * paid.amount_minor
    shares, remainders = weighted // paid.total_minor, weighted % paid.total_minor
    left = paid.redeem_points - shares.groupby(paid.basket_id).transform("sum")
    order = pd.DataFrame({"basket": paid.basket_id, "rest": remainders, "amount": paid.amount_minor})
    order = order.sort_values(["basket", "rest", "amount"], ascending=[True, False, False])
    rank = order.groupby("basket").cumcount().reindex(paid.index)
    return shares + (rank < left)


def _follow(calls: pd.DataFrame, balances: Mapping[int, int]) -> Iterator[tuple[str, int, int, int]]:
    """The outcome of each call on the balance that the ones before it left."""
    balance, household = 0, 0
    for call in calls.itertuples(index=False):
        if call.household_id != household:
            household, balance = call.household_id, balances[call.household_id]
        reason = _refusal(call.redeem_points, call.total_minor, balance)
        if reason:
            yield reason, 0, 0, balance
        else:
            balance += call.earned_points - call.redeem_points
            yield "", call.earned_points, call.redeem_points, balance


def _refusal(redeem_points: int, total_minor: int, balance: int) -> str:
    """Why points cannot be redeemed; of several reasons the first counts."""
    if 0 < redeem_points < MINIMUM_POINTS:
        return "REDEMPTION_BELOW_MINIMUM"
    if redeem_points > limit_points(total_minor):
        return "REDEMPTION_ABOVE_LIMIT"
    return "INSUFFICIENT_POINTS" if redeem_points > balance else ""
