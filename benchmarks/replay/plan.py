"""What the tills do beyond the receipts themselves: repeats and redemptions, all chosen by a seed."""

from random import Random
from typing import Final

from benchmarks.replay.program import MINIMUM_POINTS, limit_points

SENT_THRICE_SHARE: Final = 0.01
SENT_TWICE_SHARE: Final = 0.05
REDEEMING_HOUSEHOLDS_SHARE: Final = 0.4

# Of the receipts of a household that redeems; the rest only earn.
_REDEEM_WITHIN: Final = 0.30
_REDEEM_ABOVE_BALANCE: Final = 0.34
_REDEEM_ABOVE_LIMIT: Final = 0.37
_REDEEM_BELOW_MINIMUM: Final = 0.40


def redeems(seed: int, household_id: int) -> bool:
    """Whether a household redeems at all."""
    return Random(f"{seed} household {household_id}").random() < REDEEMING_HOUSEHOLDS_SHARE


def choose_copies(seed: int, basket_id: int) -> int:
    """How often a receipt is sent: 3 times at once, twice one after the other, or once."""
    draw = Random(f"{seed} copies {basket_id}").random()
    if draw < SENT_THRICE_SHARE:
        return 3
    return 2 if draw < SENT_THRICE_SHARE + SENT_TWICE_SHARE else 1


def choose_redeem_points(seed: int, basket_id: int, balance_points: int, total_minor: int) -> int:
    """Points to redeem on a receipt of a household that redeems; some are more or fewer than is allowed."""
    random = Random(f"{seed} redeem {basket_id}")
    draw = random.random()
    limit = limit_points(total_minor)
    if draw < _REDEEM_WITHIN:
        most = min(balance_points, limit)
        return random.randint(MINIMUM_POINTS, most) if most >= MINIMUM_POINTS else 0
    if draw < _REDEEM_ABOVE_BALANCE:
        return max(balance_points, MINIMUM_POINTS) + random.randint(1, 100)
    if draw < _REDEEM_ABOVE_LIMIT:
        return max(limit, MINIMUM_POINTS) + random.randint(1, 100)
    return random.randint(1, MINIMUM_POINTS - 1) if draw < _REDEEM_BELOW_MINIMUM else 0
