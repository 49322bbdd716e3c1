"""Tiers: what the member's tier multiplies earning by, and what the sale counts towards the next."""

from processor.domain.calendar import month_of
from processor.domain.program import Program
from processor.domain.rules.registry import Stage, rule
from processor.domain.sale import Sale
from processor.domain.tiers import if_new, level_above, qualified, settle, tier_of


def _has_tiers(program: Program) -> bool:
    return program.tiers is not None


@rule(Stage.TIER, _has_tiers)
def find_tier(sale: Sale) -> None:
    """The tier as it is now, also for a sale that was made offline."""
    tiers = sale.program.tiers
    assert tiers
    qualification = sale.state.qualification
    now_month = month_of(sale.situation.now_us, sale.program.timezone)
    base = settle(tiers, qualification, now_month)
    sale.tier_level = level_above(tiers, qualification, base, now_month)
    sale.tier_percent = tier_of(tiers, sale.tier_level).multiplier_percent
    sale.tier_base = if_new(base, qualification)


@rule(Stage.QUALIFICATION, _has_tiers)
def count_towards_tier(sale: Sale) -> None:
    """Points earned, and money paid: what is left of the receipt. A REDEEM alone counts nothing."""
    tiers = sale.program.tiers
    assert tiers
    timezone = sale.program.timezone
    month, now_month = month_of(sale.at_us, timezone), month_of(sale.situation.now_us, timezone)
    paid_minor = sum(sale.open_minor) if sale.earns else 0
    if sale.earned_points or paid_minor:
        sale.qualified = (qualified(tiers, month, now_month, sale.earned_points, paid_minor),)
