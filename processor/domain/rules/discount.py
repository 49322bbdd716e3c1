"""The discount that needs no points: the largest of the direct one, the segments' and the tier's."""

from typing import Final

from processor.domain.points import divide
from processor.domain.program import DiscountRules, Program
from processor.domain.rules.registry import Stage, rule
from processor.domain.sale import PERCENT, Sale

_NONE_DIRECT: Final = DiscountRules()


def _has_discount(program: Program) -> bool:
    in_tiers = program.tiers is not None and any(level.discount_percent for level in program.tiers.levels)
    return program.discount is not None or in_tiers


@rule(Stage.DISCOUNT, _has_discount)
def take_discount(sale: Sale) -> None:
    """Of all goods but the excluded ones; rounded once for the receipt, then split over its lines."""
    rules = sale.program.discount or _NONE_DIRECT
    percent = _percent(sale, rules)
    uses_points = sale.command.redeem_points or sale.command.reward_ids
    if not percent or (uses_points and not rules.combined_with_points):
        return
    eligible = sale.open_minor_without(rules.excluded)
    discount_minor = divide(sum(eligible) * percent, PERCENT, sale.program.rounding)
    if not discount_minor:
        return
    sale.take_off("discount", sale.split(discount_minor, eligible))
    if not rules.combined_with_earning:
        sale.earns = False


def _percent(sale: Sale, rules: DiscountRules) -> int:
    of_segments = [each.percent for each in rules.segments if each.segment in sale.segments]
    return max([rules.percent, sale.tier.discount_percent, *of_segments])
