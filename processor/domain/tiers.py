"""A member's tier: from what was counted in a period, and what was kept from the periods before."""

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
_NO_LEVEL: Final = TierLevel("", 0)


class TierStanding(NamedTuple):
    """The tier's name and level (0 and "" below the first), and the next one, if any.

    `missing` is what is still to be earned (points) or spent (minor units) for the next.
    """

    name: str
    level: int
    next_name: str
    missing: int


def level_at(rules: TierRules, qualification: Qualification, month: int) -> int:
    """The level in a month, 0 below the first: what is kept, or more if it has been reached."""
    return level_above(rules, qualification, settle(rules, qualification, month), month)


def level_above(rules: TierRules, qualification: Qualification, base: TierBase, month: int) -> int:
    """The same, where the base is at hand."""
    return max(base.level, _reached(rules, _amount(rules, qualification, month)))


def tier_of(rules: TierRules, level: int) -> TierLevel:
    """The tier of a level."""
    return rules.levels[level - 1] if level else _NO_LEVEL


def tier_standing(rules: TierRules, qualification: Qualification, month: int) -> TierStanding:
    """The tier in a month, and what is missing for the next."""
    amount = _amount(rules, qualification, month)
    level = max(settle(rules, qualification, month).level, _reached(rules, amount))
    if level == len(rules.levels):
        return TierStanding(tier_of(rules, level).name, level, "", 0)
    following = rules.levels[level]
    missing = max(following.threshold - amount, 0)
    return TierStanding(tier_of(rules, level).name, level, following.name, missing)


def settle(rules: TierRules, qualification: Qualification, month: int) -> TierBase:
    """The level kept at the beginning of a month's period, after the ends of all periods before it."""
    if rules.period is TierPeriod.LIFE:
        return TierBase(0, 0)
    length = _MONTHS[rules.period]
    period, noted_period = month // length, qualification.base_month // length
    # A program that had more levels may have gone before.
    highest = len(rules.levels)
    if period <= noted_period:
        return TierBase(min(qualification.base_level, highest), qualification.base_month)
    level, first = qualification.base_level, noted_period or period
    for ended in range(first, min(period, first + _PERIODS_MAX)):
        level = _level_after(rules, level, _reached(rules, _amount_in(rules, qualification, ended)), 1)
    # Nothing was counted in the periods after these.
    if period > first + _PERIODS_MAX:
        level = _level_after(rules, level, 0, period - first - _PERIODS_MAX)
    return TierBase(min(level, highest), period * length)


def newly_settled(rules: TierRules, qualification: Qualification, month: int) -> TierBase | None:
    """The same, if it is not what is noted already."""
    return if_new(settle(rules, qualification, month), qualification)


def if_new(base: TierBase, qualification: Qualification) -> TierBase | None:
    """A base that is at hand, if it is not what is noted already."""
    return base if base != (qualification.base_level, qualification.base_month) else None


def _level_after(rules: TierRules, kept: int, reached: int, periods: int) -> int:
    match rules.downgrade:
        case Downgrade.NEVER:
            return max(kept, reached)
        case Downgrade.ONE_STEP:
            return max(reached, kept - periods)
    return reached


def keep_from_month(rules: TierRules, month: int) -> int:
    """The first month whose count is still needed once the periods before that of `month` are settled."""
    match rules.period:
        case TierPeriod.LIFE:
            return month + 1
        case TierPeriod.ROLLING_MONTHS:
            return month - rules.rolling_months
    return _first_month(rules, month)


def qualified(rules: TierRules, month: int, now_month: int, points: int, minor: int) -> Qualified:
    """What counts for a sale in `month`, noted in `now_month`.

    What comes after its period has ended counts for the present one: the end of a period is not gone back on.
    """
    counted_month = max(month, _first_month(rules, now_month))
    return Qualified(counted_month, points, minor, keep_from_month(rules, now_month))


def _first_month(rules: TierRules, month: int) -> int:
    """The first month that counts in the period of `month`."""
    match rules.period:
        case TierPeriod.LIFE:
            return 0
        case TierPeriod.ROLLING_MONTHS:
            return month - rules.rolling_months + 1
    length = _MONTHS[rules.period]
    return month // length * length


def _reached(rules: TierRules, amount: int) -> int:
    level = 0
    for each in rules.levels:
        if each.threshold > amount:
            break
        level += 1
    return level


def _amount(rules: TierRules, qualification: Qualification, month: int) -> int:
    if rules.period is TierPeriod.LIFE:
        is_points = rules.basis is TierBasis.EARNED_POINTS
        return qualification.life_points if is_points else qualification.life_minor
    return _amount_in(rules, qualification, month // _MONTHS[rules.period])


def _amount_in(rules: TierRules, qualification: Qualification, period: int) -> int:
    length = _MONTHS[rules.period]
    last = period * length + length - 1
    first = last - rules.rolling_months if rules.period is TierPeriod.ROLLING_MONTHS else last - length
    counts_points = rules.basis is TierBasis.EARNED_POINTS
    amount = 0
    for month, points, minor in qualification.months:
        if first < month <= last:
            amount += points if counts_points else minor
    return amount
