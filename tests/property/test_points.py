"""Arithmetic of points and money, held against exact fractions and the standard library's decimals."""

from collections import Counter
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from processor.domain.account import Account
from processor.domain.command import Command, Kind, Receipt
from processor.domain.limits import AMOUNT_MINOR_MAX, BALANCE_POINTS_MAX
from processor.domain.points import (
    apportion,
    divide,
    redemption_limit_points,
    redemption_value_minor,
)
from processor.domain.program import Program, Rounding, RoundingScope
from processor.domain.receipt import decide_sale
from processor.domain.situation import Situation
from tests.property.strategies import programs, receipts, upto

DECIMAL_ROUNDING = {
    Rounding.DOWN: ROUND_DOWN,
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
}
# Two amounts below 10^12: the quotient differs from any half by more than 10^-24 unless it is one.
EXACT = Context(prec=60)
amounts = upto(AMOUNT_MINOR_MAX)
roundings = st.sampled_from(Rounding)


@given(amounts, upto(AMOUNT_MINOR_MAX, 1), roundings)
def test_divide_rounds_as_decimals_do(amount: int, step: int, rounding: Rounding) -> None:
    exact = EXACT.divide(Decimal(amount), Decimal(step))
    assert divide(amount, step, rounding) == exact.to_integral_value(DECIMAL_ROUNDING[rounding])


@given(upto(AMOUNT_MINOR_MAX // 4), upto(10**9, 1), roundings)
def test_divide_rounds_exact_halves(quotient: int, half_step: int, rounding: Rounding) -> None:
    expected = Decimal(2 * quotient + 1) / 2
    rounded = expected.to_integral_value(DECIMAL_ROUNDING[rounding])
    assert divide((2 * quotient + 1) * half_step, 2 * half_step, rounding) == rounded


weights_lists = st.lists(amounts, min_size=1, max_size=20).filter(any)


@given(st.data(), weights_lists)
def test_apportion_keeps_the_total_and_the_proportion(data: st.DataObject, weights: list[int]) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    parts = apportion(total, weights)
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    assert sum(parts) == total
    assert all(abs(part - share) < 1 for part, share in zip(parts, exact, strict=True))
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))


@given(st.data(), weights_lists)
def test_apportion_rounds_up_the_largest_remainders(data: st.DataObject, weights: list[int]) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    rests = [Fraction(total * weight, sum(weights)) % 1 for weight in weights]
    excess = [
        part - (total * weight) // sum(weights)
        for part, weight in zip(apportion(total, weights), weights, strict=True)
    ]
    raised = [rest for rest, more in zip(rests, excess, strict=True) if more]
    kept = [rest for rest, more in zip(rests, excess, strict=True) if not more]
    assert max(kept, default=Fraction(0)) <= min(raised, default=Fraction(1))


@given(st.data(), weights_lists)
def test_apportion_does_not_depend_on_the_order(data: st.DataObject, weights: list[int]) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    shuffled = data.draw(st.permutations(weights))
    assert Counter(zip(weights, apportion(total, weights), strict=True)) == Counter(
        zip(shuffled, apportion(total, shuffled), strict=True)
    )


def earned_points(program: Program, receipt: Receipt, redeemed_minor: int) -> int:
    """What a checkout earns of which so much is paid with points."""
    payable = program._replace(value_points=1, value_minor=1, minimum_points=1, maximum_share_percent=100)
    checkout = Command(Kind.CHECKOUT, "key", 1, "", 0, "store", "", receipt, redeemed_minor)
    return decide_sale(Account(1, BALANCE_POINTS_MAX, 0, b""), checkout, payable, Situation()).earned_points


@given(st.data(), programs(), receipts())
def test_earned_points_stay_within_the_rounding_of_the_exact_share(
    data: st.DataObject, program: Program, receipt: Receipt
) -> None:
    redeemed_minor = data.draw(st.integers(0, receipt.total_minor))
    earned = earned_points(program, receipt, redeemed_minor)
    exact_steps = Fraction(receipt.total_minor - redeemed_minor, program.step_minor)
    is_by_line = program.rounding_scope is RoundingScope.LINE
    rounded_parts = len(receipt.lines) if is_by_line and receipt.lines else 1
    assert earned % program.points_per_step == 0
    steps = earned // program.points_per_step
    if program.rounding is Rounding.DOWN:
        assert exact_steps - rounded_parts < steps <= exact_steps
    else:
        assert abs(steps - exact_steps) <= Fraction(rounded_parts, 2)


@given(st.data(), programs(), receipts())
def test_earned_points_do_not_depend_on_the_order_of_lines(
    data: st.DataObject, program: Program, receipt: Receipt
) -> None:
    redeemed_minor = data.draw(st.integers(0, receipt.total_minor))
    lines = tuple(data.draw(st.permutations(receipt.lines)))
    assert earned_points(program, receipt, redeemed_minor) == earned_points(
        program, receipt._replace(lines=lines), redeemed_minor
    )


@given(programs(), receipts())
def test_a_receipt_paid_with_points_alone_earns_nothing(program: Program, receipt: Receipt) -> None:
    assert earned_points(program, receipt, receipt.total_minor) == 0


@given(programs(), upto(AMOUNT_MINOR_MAX, 1))
def test_the_redemption_limit_is_tight(program: Program, total_minor: int) -> None:
    limit_points = redemption_limit_points(program, total_minor)
    share_minor = Fraction(total_minor * program.maximum_share_percent, 100)
    assert redemption_value_minor(program, limit_points) <= share_minor
    assert redemption_value_minor(program, limit_points + 1) > share_minor


@given(programs(), upto(10**12))
def test_points_pay_their_value_without_the_fraction(program: Program, points: int) -> None:
    exact = Fraction(points * program.value_minor, program.value_points)
    assert 0 <= exact - redemption_value_minor(program, points) < 1


def test_of_equal_weights_their_owners_decide_not_their_places() -> None:
    assert apportion(3, [150, 150], [("a",), ("b",)]) == [1, 2]
    assert apportion(3, [150, 150], [("b",), ("a",)]) == [2, 1]
