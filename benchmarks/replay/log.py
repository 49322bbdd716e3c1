"""What was sent and what came back, one entry a receipt."""

from typing import NamedTuple


class LogEntry(NamedTuple):
    """`position` counts the household's receipts in the order sent; `redeem_points` is what was asked for.

    `copies` were sent because the plan says so and `repeats` because the outcome was unknown; `replays` were
    answered as such. `answers_equal` tells whether all of them got the same bytes. `reason` is "" if the
    receipt was applied.
    """

    basket_id: int
    household_id: int
    position: int
    redeem_points: int
    copies: int
    repeats: int
    replays: int
    answers_equal: bool
    reason: str
    earned_points: int
    redeemed_points: int
    balance_points: int
