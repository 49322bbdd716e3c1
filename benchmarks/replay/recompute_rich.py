"""What must have come of the receipts under the rich rules, computed from the documented rules alone.

Nothing of the service is used here (docs/replay.md): each household is followed, call by call in the order
sent, with lists of lots. The clock is that of the service's replies.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd

from benchmarks.replay.log import Standing, Told, told_by_refusal
from benchmarks.replay.receipts import Receipts
from benchmarks.replay.recompute import Recomputed

# --- the rules, a second time: see program-rich.yaml ------------------------------------------------

ZONE: Final = ZoneInfo("America/New_York")
STEP_MINOR: Final = 100
WEIGHTS_PERCENT: Final = {"PRODUCE": 200, "MEAT": 150, "SEAFOOD": 300, "DRUG GM": 125}
EARN_NOTHING: Final = {"FUEL", "COUPON"}
TAKE_NO_POINTS: Final = {"FUEL"}
MINIMUM_POINTS: Final = 50
MAXIMUM_SHARE_PERCENT: Final = 50
OFFLINE_POINTS_MAX: Final = 300
PENDING_DAYS: Final = 7
MONTHS_UNTIL_EXPIRY: Final = 6
GRACE_DAYS: Final = 30


class Tier(NamedTuple):
    name: str
    threshold_minor: int
    earns_percent: int
    discount_percent: int


TIERS: Final = (
    Tier("", 0, 100, 0),
    Tier("bronze", 20_000, 110, 0),
    Tier("silver", 80_000, 125, 2),
    Tier("gold", 250_000, 150, 3),
)

# --- dates ------------------------------------------------------------------------------------------

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = 12


def _day(at_us: int) -> date:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(ZONE).date()


@lru_cache(4_096)
def _midnight_us(day: date) -> int:
    return (datetime(day.year, day.month, day.day, tzinfo=ZONE) - _EPOCH) // timedelta(microseconds=1)


def _active_at_us(at_us: int) -> int:
    return _midnight_us(_day(at_us) + timedelta(days=PENDING_DAYS))


def _expires_at_us(at_us: int) -> int:
    """The first day of the month after the one in which the months are over."""
    earned = _day(at_us)
    year, month = divmod(earned.year * _MONTHS + earned.month - 1 + MONTHS_UNTIL_EXPIRY + 1, _MONTHS)
    return _midnight_us(date(year, month + 1, 1))


def _grace_until_us(now_us: int) -> int:
    return _midnight_us(_day(now_us) + timedelta(days=GRACE_DAYS + 1))


# --- what is sold -----------------------------------------------------------------------------------


class Line(NamedTuple):
    """In the order in which equal lines are told apart."""

    sku: str
    quantity_milli: int
    amount_minor: int
    category: str


class Share(NamedTuple):
    """A line's part in a sale; `paid_minor` is money."""

    earned_points: int
    redeemed_points: int
    redeemed_minor: int
    discount_minor: int
    paid_minor: int


@dataclass
class Sold:
    """A sale for what may be brought back of it: per line its quantity and share.

    `drawn` are (expires_at_us, points), the first drawn first. Earned points went to a lot of these times.
    """

    quantities_milli: Sequence[int]
    shares: Sequence[Share]
    drawn: Sequence[tuple[int, int]]
    active_at_us: int
    expires_at_us: int
    returned_milli: dict[int, int] = field(default_factory=dict)


def _split(total: int, weights: Sequence[int], lines: Sequence[Line]) -> list[int]:
    """In proportion to the weights, rounded down; what is left goes one by one to the largest remainders.

    Of equal remainders that of the larger weight comes first, of equal weights that of the greatest line.
    """
    if not total:
        return [0] * len(weights)
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(
        range(len(weights)),
        key=lambda at: (total * weights[at] % whole, weights[at], lines[at]),
        reverse=True,
    )
    for at in order[: total - sum(parts)]:
        parts[at] += 1
    return parts


# --- a household ------------------------------------------------------------------------------------


class Refused(Exception):
    """Ends a call; its text is the reason."""


class Household:
    """Lots by expiry, pending points by their times, and the money that counts towards the tier."""

    def __init__(self) -> None:
        self.lots: defaultdict[int, int] = defaultdict(int)
        self.pending: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.counted_minor = 0
        self.sold: dict[int, Sold] = {}

    @property
    def available_points(self) -> int:
        return sum(self.lots.values())

    @property
    def balance_points(self) -> int:
        return self.available_points + sum(self.pending.values())

    def standing(self, now_us: int) -> Standing:
        """As a reply tells it: what has expired is told in the balance once more, and nowhere else."""
        balance_points = self.balance_points
        self.let_time_pass(now_us)
        pending_points = sum(self.pending.values())
        return Standing(balance_points, self.available_points, pending_points, self.tier.name)

    @property
    def tier(self) -> Tier:
        return [tier for tier in TIERS if tier.threshold_minor <= self.counted_minor][-1]

    def let_time_pass(self, now_us: int) -> None:
        """Pending points become active, and lots expire."""
        for active_at_us, expires_at_us in [times for times in self.pending if times[0] <= now_us]:
            self.lots[expires_at_us] += self.pending.pop((active_at_us, expires_at_us))
        for expires_at_us in [time_us for time_us in self.lots if time_us <= now_us]:
            del self.lots[expires_at_us]

    def sell(self, call: Any, lines: Sequence[Line], now_us: int) -> Told:
        """An accrual is a checkout without points. Raises Refused."""
        amounts = [line.amount_minor for line in lines]
        discount_minor = sum(amounts) * self.tier.discount_percent // 100
        discounts = _split(discount_minor, amounts, lines)
        left = [amount - off for amount, off in zip(amounts, discounts, strict=True)]
        by_points = self._pay_with_points(call, lines, left)
        redeemed_points, shortfall_points = call.redeem_points, 0
        spent = _split(redeemed_points, by_points if any(by_points) else amounts, lines)
        taken_points = min(redeemed_points, self.available_points, OFFLINE_POINTS_MAX)
        if call.is_offline and taken_points < redeemed_points:
            redeemed_points, shortfall_points = taken_points, redeemed_points - taken_points
            spent = _split(redeemed_points, spent, lines)
        paid = [minor - points_minor for minor, points_minor in zip(left, by_points, strict=True)]
        weighted = [minor * _weight_percent(line) for minor, line in zip(paid, lines, strict=True)]
        earned_points = sum(weighted) * self.tier.earns_percent // (STEP_MINOR * 100 * 100)
        earned = _split(earned_points, weighted, lines)
        drawn = list(self._draw(redeemed_points))
        at_us = call.occurred_at_us if call.is_offline else now_us
        self.sold[call.basket_id] = Sold(
            [line.quantity_milli for line in lines],
            [Share(*share) for share in zip(earned, spent, by_points, discounts, paid, strict=True)],
            drawn,
            _active_at_us(at_us),
            _expires_at_us(at_us),
        )
        self._earn(earned_points, _active_at_us(at_us), _expires_at_us(at_us), now_us)
        self.counted_minor += sum(paid)
        return Told(
            "",
            earned_points,
            redeemed_points,
            sum(by_points),
            discount_minor,
            sum(paid),
            shortfall_points,
            0,
            *self.standing(now_us),
        )

    def _pay_with_points(self, call: Any, lines: Sequence[Line], left: Sequence[int]) -> list[int]:
        """What points pay of each line; one pays a minor unit."""
        payable = [
            0 if line.category in TAKE_NO_POINTS else minor for line, minor in zip(lines, left, strict=True)
        ]
        limit = min(sum(left) * MAXIMUM_SHARE_PERCENT // 100, sum(payable))
        if not call.is_offline and 0 < call.redeem_points < MINIMUM_POINTS:
            raise Refused("REDEMPTION_BELOW_MINIMUM")
        if not call.is_offline and call.redeem_points > limit:
            raise Refused("REDEMPTION_ABOVE_LIMIT")
        if not call.is_offline and call.redeem_points > self.available_points:
            raise Refused("INSUFFICIENT_POINTS")
        return _split(min(call.redeem_points, sum(payable)), payable, lines)

    def _draw(self, points: int) -> Iterator[tuple[int, int]]:
        """Take points out of the lots, those that expire soonest first."""
        for expires_at_us in sorted(self.lots):
            taken = min(points, self.lots[expires_at_us])
            self.lots[expires_at_us] -= taken
            points -= taken
            if taken:
                yield expires_at_us, taken

    def _earn(self, points: int, active_at_us: int, expires_at_us: int, now_us: int) -> None:
        if active_at_us > now_us:
            self.pending[active_at_us, expires_at_us] += points
        else:
            self.lots[expires_at_us] += points

    def bring_back(self, call: Any, now_us: int) -> Told:
        """Undo a sale for some lines. Raises Refused."""
        sold = self.sold.get(call.basket_id)
        if sold is None:
            raise Refused("NOT_REVERSIBLE")
        returned = dict(_returned(call.returned))
        for line, milli in returned.items():
            if milli > sold.quantities_milli[line - 1] - sold.returned_milli.get(line, 0):
                raise Refused("RETURN_ABOVE_ORIGINAL")
        before = _share_of(sold, sold.returned_milli)
        for line, milli in returned.items():
            sold.returned_milli[line] = sold.returned_milli.get(line, 0) + milli
        part = Share(
            *(now - was for now, was in zip(_share_of(sold, sold.returned_milli), before, strict=True))
        )
        restored = self._restore(sold, before.redeemed_points, part.redeemed_points, now_us)
        shortfall = self._claw_back(sold, part.earned_points)
        shortfall_minor = min(shortfall, part.paid_minor)
        self.counted_minor -= part.paid_minor
        return Told(
            "",
            restored,
            part.earned_points - shortfall,
            part.redeemed_minor,
            part.discount_minor,
            part.paid_minor - shortfall_minor,
            shortfall,
            shortfall_minor,
            *self.standing(now_us),
        )

    def _restore(self, sold: Sold, skipped: int, points: int, now_us: int) -> int:
        """Put redeemed points back into their lots, the last drawn first, after those put back before."""
        left = points
        for expires_at_us, drawn in reversed(sold.drawn):
            passed = min(skipped, drawn)
            back = min(left, drawn - passed)
            skipped, left = skipped - passed, left - back
            if back:
                self.lots[expires_at_us if expires_at_us > now_us else _grace_until_us(now_us)] += back
        return points - left

    def _claw_back(self, sold: Sold, points: int) -> int:
        """Take earned points from where they went, then from any lot; returns those that were not there."""
        times = sold.active_at_us, sold.expires_at_us
        taken = min(points, self.pending[times])
        self.pending[times] -= taken
        own = min(points - taken, self.lots[sold.expires_at_us])
        self.lots[sold.expires_at_us] -= own
        points -= taken + own
        return points - sum(part for _, part in self._draw(points))


def _weight_percent(line: Line) -> int:
    return 0 if line.category in EARN_NOTHING else WEIGHTS_PERCENT.get(line.category, 100)


def _returned(text: str) -> Iterator[tuple[int, int]]:
    """Line numbers and quantities of the log."""
    for part in text.split(","):
        line, _, milli = part.partition(":")
        yield int(line), int(milli)


def _share_of(sold: Sold, returned_milli: Mapping[int, int]) -> Share:
    """What belongs to so much of each line, each figure rounded down."""
    parts = [
        [figure * milli // sold.quantities_milli[line - 1] for figure in sold.shares[line - 1]]
        for line, milli in returned_milli.items()
    ]
    return Share(*map(sum, zip(*parts, strict=True))) if parts else Share(0, 0, 0, 0, 0)


# --- all of them ------------------------------------------------------------------------------------


def recompute_rich(
    log: pd.DataFrame, receipts: Receipts, before: Mapping[int, Standing], now_us: int
) -> Recomputed:
    """What every call must have been told, and where all members must stand at `now_us`.

    `log` needs what was asked, in which order, and when it was recorded; members must begin with nothing.
    """
    lines = _lines_by_basket(receipts)
    told: list[tuple[Any, ...]] = []
    standings = dict(before)
    calls = log.sort_values(["household_id", "position"])
    for household_id, own in calls.groupby("household_id", sort=False):
        household = Household()
        told += _follow(household, own, lines, before[household_id])
        household.let_time_pass(now_us)
        standings[household_id] = household.standing(now_us)
    columns = ["basket_id", "return_number", "household_id", *Told._fields]
    return Recomputed(pd.DataFrame(told, columns=columns), standings)


def _follow(
    household: Household, calls: pd.DataFrame, lines: Mapping[int, Sequence[Line]], before: Standing
) -> Iterator[tuple[Any, ...]]:
    """What each call must have been told, on what the ones before it left."""
    standing, now_us = before, 0
    for call in calls.itertuples(index=False):
        now_us = max(now_us, call.recorded_at_us)
        household.let_time_pass(now_us)
        try:
            if call.return_number:
                told = household.bring_back(call, now_us)
            else:
                told = household.sell(call, lines[call.basket_id], now_us)
            standing = Standing(told.balance_points, told.available_points, told.pending_points, told.tier)
        except Refused as refusal:
            told = told_by_refusal(str(refusal), standing)
        yield call.basket_id, call.return_number, call.household_id, *told


def _lines_by_basket(receipts: Receipts) -> dict[int, list[Line]]:
    columns = receipts.lines[["sku", "quantity_milli", "amount_minor", "category"]].astype({"sku": str})
    lines = [Line(*row) for row in columns.itertuples(index=False, name=None)]
    return {
        header.basket_id: lines[header.first_line : header.end_line]
        for header in receipts.headers.itertuples(index=False)
    }
