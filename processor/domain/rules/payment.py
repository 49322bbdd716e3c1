"""Points that pay: how many a receipt takes, and what they are worth."""

from processor.domain.calendar import day_of
from processor.domain.decision import Refusal
from processor.domain.outcomes import Outcome
from processor.domain.points import points_worth_at_most, redemption_value_minor
from processor.domain.rules.registry import Stage, always, rule
from processor.domain.sale import PERCENT, Sale
from processor.domain.state import MemberState


@rule(Stage.PAYMENT, always)
def pay_with_points(sale: Sale) -> None:
    """Refusals in order of precedence: offline limit, minimum, limit, balance."""
    wanted = sale.command.redeem_points
    if not (wanted or sale.redeemed_points):
        return
    if sale.is_online:
        _refuse_out_of_bounds(sale, wanted)
    elif sale.redeemed_points + wanted > sale.program.offline.redeem_points_max:
        limit_points = sale.program.offline.redeem_points_max
        raise Refusal(Outcome.OFFLINE_LIMIT_EXCEEDED, limit_points=limit_points, redeem_points=wanted)
    if wanted:
        eligible = _eligible_minor(sale)
        value_minor = min(redemption_value_minor(sale.program, wanted), sum(eligible))
        sale.pay("redemption", sale.split(value_minor, eligible), wanted)
    _take_what_is_there(sale)


def points_limit(sale: Sale) -> int:
    """The most points that the receipt takes after its discounts and rewards, whatever the balance."""
    program = sale.program
    share_minor = sum(sale.open_minor) * program.maximum_share_percent // PERCENT
    limits = [points_worth_at_most(program, min(share_minor, sum(_eligible_minor(sale))))]
    if program.payment.receipt_points_max:
        limits.append(program.payment.receipt_points_max)
    if program.payment.day_points_max:
        limits.append(max(program.payment.day_points_max - _redeemed_today(sale), 0))
    return min(limits)


def _eligible_minor(sale: Sale) -> list[int]:
    return sale.open_minor_without(sale.program.payment.excluded)


def _refuse_out_of_bounds(sale: Sale, wanted: int) -> None:
    if wanted and wanted < sale.program.minimum_points:
        minimum_points = sale.program.minimum_points
        raise Refusal(Outcome.REDEMPTION_BELOW_MINIMUM, minimum_points=minimum_points, redeem_points=wanted)
    if wanted and wanted > (limit_points := points_limit(sale)):
        raise Refusal(Outcome.REDEMPTION_ABOVE_LIMIT, limit_points=limit_points, redeem_points=wanted)
    if wanted + sale.redeemed_points > max(sale.available_points, 0):
        raise insufficient(sale.account.balance_points, sale.available_points, wanted)


def insufficient(balance_points: int, available_points: int, wanted: int) -> Refusal:
    """The refusal of points that are not there."""
    return Refusal(
        Outcome.INSUFFICIENT_POINTS,
        available_points=available_points,
        balance_points=balance_points,
        redeem_points=wanted,
    )


def _take_what_is_there(sale: Sale) -> None:
    """Offline the goods are gone: what is missing is recorded, or becomes a debt."""
    missing = sale.redeemed_points - max(sale.available_points, 0)
    if missing > 0 and not sale.program.offline.allow_negative:
        sale.shortfall_points = missing
        sale.redeemed_points -= missing
        sale.spent_points = sale.split(sale.redeemed_points, sale.spent_points)


def _redeemed_today(sale: Sale) -> int:
    return redeemed_on_day(sale.state, day_of(sale.situation.now_us, sale.program.timezone))


def redeemed_on_day(state: MemberState, day: int) -> int:
    """The points that the member has redeemed on a day."""
    # The day may have begun by another's clock.
    return sum(
        tally.day_redeemed_points
        for tally in state.tallies
        if not tally.subject and tally.day in (day, day + 1)
    )
