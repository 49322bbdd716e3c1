"""Which lots points come out of, and which one earned points go into."""

from processor.domain.dating import lot_times_us, sliding_expiry_us
from processor.domain.effects import Effects, apply_effects
from processor.domain.lots import credit, draw
from processor.domain.rules.registry import Stage, always, rule
from processor.domain.sale import Sale


@rule(Stage.LOTS, always)
def move_points(sale: Sale) -> None:
    """Spent points leave first; what is earned then pays a debt, or becomes a lot."""
    state, balance_points, rules = sale.state, sale.account.balance_points, sale.program.lots
    drawn = draw(state, balance_points, sale.redeemed_points)
    left = apply_effects(state, Effects(lots=drawn)) if drawn else state
    balance_points -= sale.redeemed_points
    times_us = lot_times_us(sale.program, sale.at_us, sale.situation.now_us)
    sale.lots = drawn + credit(left, balance_points, sale.earned_points, *times_us)
    if state.undated_expires_at_us or (rules and rules.sliding_days):
        _slide(sale, balance_points + sale.earned_points)


def _slide(sale: Sale, balance_points: int) -> None:
    """Activity puts the expiry of the undated points off, if there are any."""
    state = apply_effects(sale.state, Effects(lots=sale.lots))
    has_undated = state.undated_points(balance_points) > 0
    expires_at_us = _undated_expiry_us(sale) if has_undated else 0
    if expires_at_us != sale.state.undated_expires_at_us:
        sale.undated_expires_at_us = expires_at_us


def _undated_expiry_us(sale: Sale) -> int:
    """Where points get dates of their own now, those without keep the time that they had together."""
    lots = sale.program.lots
    if lots and not lots.sliding_days and lot_times_us(sale.program, sale.at_us, sale.at_us)[1]:
        return sale.state.undated_expires_at_us
    return sliding_expiry_us(sale.program, sale.situation.now_us)
