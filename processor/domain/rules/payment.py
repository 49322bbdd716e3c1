"""Points that pay: how many a receipt takes, and what they are worth."""

from processor.domain.calendar import day_of
from processor.domain.decision import Refusal
from processor.domain.limits import REDEEM_POINTS_MAX
from processor.domain.outcomes import Outcome
from processor.domain.points import points_worth_at_most, redemption_value_minor
from processor.domain.program import Program
from processor.domain.rules.registry import Stage, always, rule
from processor.domain.sale import PERCENT, Sale
from processor.domain.state import MemberState


@rule(Stage.PAYMENT, always)
def pay_with_points(sale: Sale) -> None:
    """Refusals in order of precedence: minimum, limit, balance. Of what was done offline none applies."""
    wanted = sale.command.redeem_points
    if not (wanted or sale.redeemed_points):
        return
    if sale.is_online:
        _refuse_out_of_bounds(sale, wanted)
    if wanted:
        _refuse_without_value(sale, wanted)
        eligible = _eligible_minor(sale)
        value_minor = min(redemption_value_minor(sale.program, wanted), sum(eligible))
        sale.pay("redemption", sale.split(value_minor, eligible), wanted)
    if sale.command.offline:
        _take_what_may_be_taken(sale)


def points_limit(sale: Sale) -> int:
    """The most points that the receipt takes after its discounts and rewards, whatever the balance."""
    program = sale.program
    share_minor = sum(sale.open_minor) * program.maximum_share_percent // PERCENT
    most = points_worth_at_most(program, min(share_minor, sum(_eligible_minor(sale))))
    return min(most, points_left(sale))


def points_left(sale: Sale) -> int:
    """How many more points the receipt and the day take, whatever the receipt comes to."""
    return bounded_points(sale.program, sale.state, sale.situation.now_us, sale.redeemed_points)


def bounded_points(program: Program, state: MemberState, now_us: int, redeemed_points: int) -> int:
    """What the maxima per receipt and per day leave beside `redeemed_points` of the receipt."""
    payment, most = program.payment, REDEEM_POINTS_MAX
    if payment.receipt_points_max:
        most = payment.receipt_points_max
    if payment.day_points_max:
        most = min(most, payment.day_points_max - used_on_day(state, day_of(now_us, program.timezone)))
    return max(most - redeemed_points, 0)


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


def _refuse_without_value(sale: Sale, wanted: int) -> None:
    if not sale.program.maximum_share_percent:
        raise Refusal(Outcome.REDEMPTION_ABOVE_LIMIT, limit_points=0, redeem_points=wanted)


def insufficient(balance_points: int, available_points: int, wanted: int) -> Refusal:
    """The refusal of points that are not there."""
    return Refusal(
        Outcome.INSUFFICIENT_POINTS,
        available_points=available_points,
        balance_points=balance_points,
        redeem_points=wanted,
    )


def _take_what_may_be_taken(sale: Sale) -> None:
    """Offline the goods are gone: what is beyond the limit is recorded, what is missing too or a debt."""
    offline, spent_points = sale.program.offline, sale.redeemed_points
    most = offline.redeem_points_max
    if spent_points > most:
        sale.flags.append("offline.redeem_points_max")
    if sale.situation.barred:
        most = 0
    elif not offline.allow_negative:
        most = min(most, max(sale.available_points, 0))
    if spent_points > most:
        sale.shortfall_points = spent_points - most
        sale.redeemed_points = most
        sale.spent_points = sale.split(most, sale.spent_points)


def used_on_day(state: MemberState, day: int) -> int:
    """The points that the member has redeemed on a day, and those that are held and may be on any day."""
    # The day may have begun by another's clock.
    redeemed = [
        tally.day_redeemed_points
        for tally in state.tallies
        if not tally.subject and tally.day in (day, day + 1)
    ]
    return sum(redeemed) + state.held_points
