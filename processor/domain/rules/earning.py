"""Points for what is paid with money."""

from bisect import bisect_right
from operator import attrgetter, mul, sub
from typing import Final

from processor.domain.points import divide
from processor.domain.program import Rate, RoundingScope
from processor.domain.rules.registry import Stage, always, rule
from processor.domain.sale import PERCENT, Sale

_LINE: Final = RoundingScope.LINE
_from_minor_of: Final = attrgetter("from_minor")


@rule(Stage.EARNING, always)
def earn(sale: Sale) -> None:
    """Lines count by their weight and the member's tier; rounded once, for the receipt or for each line."""
    if not sale.earns:
        return
    if sale.tier.multiplier_percent != PERCENT:
        sale.apply("tiers")
    paid = _counted_minor(sale)
    counted = list(map(mul, paid, sale.weights_percent))
    rate = rate_for(sale, sum(paid))
    if sale.program.rounding_scope is _LINE:
        sale.earned_by_line = [_points(sale, rate, each) for each in counted]
        sale.earned_points = sum(sale.earned_by_line)
    else:
        sale.earned_points = _points(sale, rate, sum(counted))
        sale.earned_by_line = sale.split(sale.earned_points, counted)
    if sale.earned_points:
        sale.apply("earning", points=sale.earned_points)


def rate_for(sale: Sale, paid_minor: int) -> Rate:
    """That of the member's segment, else that of the receipt's band, else the program's."""
    program = sale.program
    rules = program.earning
    for segment, rate in rules.segments:
        if segment in sale.segments:
            return rate
    reached = bisect_right(rules.bands, paid_minor, key=_from_minor_of)
    points_per_step = rules.bands[reached - 1].points_per_step if reached else program.points_per_step
    return Rate(points_per_step, program.step_minor, rules.cashback)


def _counted_minor(sale: Sale) -> list[int]:
    if not sale.program.earning.on_redeemed_part:
        return sale.open_minor
    return list(map(sub, sale.amounts_minor(), sale.discounts_minor))


def _points(sale: Sale, rate: Rate, counted: int) -> int:
    """`counted` is in minor units x per cent of weight."""
    points_per_step, step_minor, proportional = rate
    amount, step = counted * sale.tier.multiplier_percent, step_minor * PERCENT * PERCENT
    if proportional:
        return divide(amount * points_per_step, step, sale.program.rounding)
    return divide(amount, step, sale.program.rounding) * points_per_step
