"""What the tills do beyond the receipts themselves, all chosen by a seed.

Repeats and redemptions; under the rich rules also sales without a connection and goods brought back.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from benchmarks.replay.events import Comeback, Header
from benchmarks.replay.program import MINIMUM_POINTS, limit_points

SENT_THRICE_SHARE: Final = 0.01
SENT_TWICE_SHARE: Final = 0.05
REDEEMING_HOUSEHOLDS_SHARE: Final = 0.4
OFFLINE_SHARE: Final = 0.5
RETURNED_LINES_SHARE: Final = 0.02

# Of the receipts of a household that redeems; the rest only earn.
_REDEEM_WITHIN: Final = 0.30
_REDEEM_ABOVE_BALANCE: Final = 0.34
_REDEEM_ABOVE_LIMIT: Final = 0.37
_REDEEM_BELOW_MINIMUM: Final = 0.40

# Of the lines brought back and of the times that something is.
_WHOLE_LINE_SHARE: Final = 0.7
_TWICE_SHARE: Final = 0.2
_DAYS_UNTIL_RETURN_MAX: Final = 30
_DAY_US: Final = 86_400 * 1_000_000


def redeems(seed: int, household_id: int) -> bool:
    """Whether a household redeems at all."""
    return Random(f"{seed} household {household_id}").random() < REDEEMING_HOUSEHOLDS_SHARE


def choose_copies(seed: int, name: str) -> int:
    """How often a call is sent: 3 times at once, twice one after the other, or once."""
    draw = Random(f"{seed} copies {name}").random()
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


def is_offline(seed: int, basket_id: int) -> bool:
    """Whether the till had no connection when the receipt was made."""
    return Random(f"{seed} offline {basket_id}").random() < OFFLINE_SHARE


def choose_comebacks(
    seed: int, header: Header, quantities_milli: Sequence[int], latest_us: int
) -> Iterator[Comeback]:
    """What of a receipt is brought back in the days after it, but not after `latest_us`.

    Some try it twice with the same lines: as far as there is nothing left of them, in vain.
    """
    random = Random(f"{seed} comebacks {header.basket_id}")
    lines = tuple(_choose_lines(random, quantities_milli))
    if not lines:
        return
    occurred_at_us = header.occurred_at_us
    for return_number in range(1, 3 if random.random() < _TWICE_SHARE else 2):
        occurred_at_us += random.randint(1, _DAYS_UNTIL_RETURN_MAX) * _DAY_US
        if occurred_at_us <= latest_us:
            yield Comeback(*header[:3], occurred_at_us, return_number, lines)


def _choose_lines(random: Random, quantities_milli: Sequence[int]) -> Iterator[tuple[int, int]]:
    for line_number, quantity_milli in enumerate(quantities_milli, 1):
        if random.random() < RETURNED_LINES_SHARE:
            is_whole = random.random() < _WHOLE_LINE_SHARE
            yield line_number, quantity_milli if is_whole else random.randint(1, quantity_milli)
