"""Tiers: what the member's tier multiplies earning by, and what the sale counts towards the next."""

from processor.domain.calendar import month_of
from processor.domain.program import Program
from processor.domain.rules.registry import Stage, rule
from processor.domain.sale import Sale
from processor.domain.tiers import if_new, level_above, qualified, settle, tier_of, window_of


def _has_tiers(program: Program) -> bool:
    return program.tiers is not None


@rule(Stage.TIER, _has_tiers)
def find_tier(sale: Sale) -> None:
    """The tier as it is now, also for a sale that was made offline."""
    program, qualification = sale.program, sale.state.qualification
    tiers = program.tiers
    assert tiers
    window = window_of(tiers, month_of(sale.situation.now_us, program.timezone))
    base = kept, _ = settle(tiers, qualification, window)
    sale.tier = tier_of(tiers, level_above(tiers, qualification, kept, window))
    sale.tier_base = if_new(base, qualification)
    sale.tier_window = window


@rule(Stage.QUALIFICATION, _has_tiers)
def count_towards_tier(sale: Sale) -> None:
    """Points earned, and money paid: what is left of the receipt. A REDEEM alone counts nothing."""
    assert sale.tier_window
    paid_minor = sum(sale.open_minor) if sale.earns else 0
    if sale.earned_points or paid_minor:
        month = month_of(sale.at_us, sale.program.timezone)
        sale.qualified = (qualified(sale.tier_window, month, sale.earned_points, paid_minor),)
