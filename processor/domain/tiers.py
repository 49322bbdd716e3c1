"""A member's tier: from what was counted in a period, and what was kept from the periods before."""

from bisect import bisect_right
from functools import lru_cache
from operator import attrgetter
from typing import Final, NamedTuple

from processor.domain.effects import Qualified, TierBase
from processor.domain.program import Downgrade, TierBasis, TierLevel, TierPeriod, TierRules
from processor.domain.state import Qualification

_MONTHS: Final = {
    TierPeriod.CALENDAR_YEAR: 12,
    TierPeriod.CALENDAR_QUARTER: 3,
    TierPeriod.CALENDAR_MONTH: 1,
    TierPeriod.ROLLING_MONTHS: 1,
}
# No period of months that a program may have is longer.
_PERIODS_MAX: Final = 60
NO_TIER: Final = TierLevel("", 0)
_NO_BASE: Final = (0, 0)
_LIFE: Final = TierPeriod.LIFE
_EARNED_POINTS: Final = TierBasis.EARNED_POINTS
_threshold_of: Final = attrgetter("threshold")
_CACHED: Final = 1_024


class Window(NamedTuple):
    """A period by its months: the one it begins with, and the first and the last that count in it.

    Months before `keep_from` are no longer needed once the periods before it are settled.
    """

    begins: int
    first: int
    last: int
    keep_from: int


class TierStanding(NamedTuple):
    """The tier's name and level (0 and "" below the first), and the next one, if any.

    `missing` is what is still to be earned (points) or spent (minor units) for the next.
    """

    name: str
    level: int
    next_name: str
    missing: int


def window_of(rules: TierRules, month: int) -> Window:
    """The window that a month belongs to."""
    return _window_of(rules.period, rules.rolling_months, month)


@lru_cache(_CACHED)
def _window_of(period: TierPeriod, rolling_months: int, month: int) -> Window:
    match period:
        case TierPeriod.LIFE:
            return Window(0, 0, month, month + 1)
        case TierPeriod.ROLLING_MONTHS:
            return Window(month, month - rolling_months + 1, month, month - rolling_months)
    length = _MONTHS[period]
    begins = month // length * length
    return Window(begins, begins, begins + length - 1, begins)


def level_above(rules: TierRules, qualification: Qualification, kept: int, window: Window) -> int:
    """The level in a window, 0 below the first: what is kept, or more if it has been reached."""
    return max(kept, _reached(rules, _amount(rules, qualification, window)))


def tier_of(rules: TierRules, level: int) -> TierLevel:
    """The tier of a level."""
    return rules.levels[level - 1] if level else NO_TIER


def tier_standing(rules: TierRules, qualification: Qualification, month: int) -> TierStanding:
    """The tier in a month, and what is missing for the next."""
    window = window_of(rules, month)
    amount = _amount(rules, qualification, window)
    kept, _ = settle(rules, qualification, window)
    level = max(kept, _reached(rules, amount))
    name = tier_of(rules, level).name
    if level == len(rules.levels):
        return TierStanding(name, level, "", 0)
    following = rules.levels[level]
    return TierStanding(name, level, following.name, max(following.threshold - amount, 0))


def settle(rules: TierRules, qualification: Qualification, window: Window) -> tuple[int, int]:
    """The level kept at the beginning of a window's period, after the ends of all periods before it.

    A plain pair like a `TierBase`, which costs more: most often it is noted already.
    """
    if rules.period is _LIFE:
        return _NO_BASE
    level, base_month = qualification[:2]
    if base_month < window.begins:
        base_month = window.begins
        level = _level_after_all(rules, qualification, base_month)
    # So too in the present period.
    return min(level, len(rules.levels)), base_month


def _level_after_all(rules: TierRules, qualification: Qualification, begins: int) -> int:
    """The level kept after the ends of all periods from the noted one to that which `begins` with a month."""
    length = _MONTHS[rules.period]
    level, period, most = qualification.base_level, begins // length, len(rules.levels)
    first = qualification.base_month // length or period
    for ended in range(first, min(period, first + _PERIODS_MAX)):
        amount = _amount(rules, qualification, window_of(rules, ended * length))
        # A program that had more levels may have gone before, but not in a period that it saw the end of.
        kept = min(level, most) if rules.since_month < (ended + 1) * length else level
        level = _level_after(rules, kept, _reached(rules, amount), 1)
    # Nothing was counted in the periods after these.
    if period > first + _PERIODS_MAX:
        level = _level_after(rules, level, 0, period - first - _PERIODS_MAX)
    return level


def newly_settled(rules: TierRules, qualification: Qualification, month: int) -> TierBase | None:
    """The level kept in a month, if it is not what is noted already."""
    return if_new(settle(rules, qualification, window_of(rules, month)), qualification)


def if_new(base: tuple[int, int], qualification: Qualification) -> TierBase | None:
    """A base that is at hand, if it is not what is noted already."""
    return TierBase(*base) if base != qualification[:2] else None


def _level_after(rules: TierRules, kept: int, reached: int, periods: int) -> int:
    match rules.downgrade:
        case Downgrade.NEVER:
            return max(kept, reached)
        case Downgrade.ONE_STEP:
            return max(reached, kept - periods)
    return reached


def qualified(window: Window, month: int, points: int, minor: int) -> Qualified:
    """What counts for a sale in `month`, noted in the present window.

    What comes after its period has ended counts for the present one: the end of a period is not gone back on.
    """
    return Qualified(max(month, window.first), points, minor, window.keep_from)


def _reached(rules: TierRules, amount: int) -> int:
    return bisect_right(rules.levels, amount, key=_threshold_of)


def _amount(rules: TierRules, qualification: Qualification, window: Window) -> int:
    """What counts in a window."""
    counts_points = rules.basis is _EARNED_POINTS
    if rules.period is _LIFE:
        return qualification.life_points if counts_points else qualification.life_minor
    first, last = window.first, window.last
    amount = 0
    for month, points, minor in qualification.months:
        if first <= month <= last:
            amount += points if counts_points else minor
    return amount
