"""What a decision may be, whatever the state, the command and the program."""

from hypothesis import given
from hypothesis import strategies as st

from processor.domain.account import Account
from processor.domain.command import Command, Kind, LineItem, Receipt, ReturnedLine
from processor.domain.decide import decide
from processor.domain.decision import Decision, Refusal
from processor.domain.effects import NO_EFFECTS
from processor.domain.limits import BALANCE_POINTS_MAX
from processor.domain.operation import draft_operation, original_from
from processor.domain.outcomes import Outcome, is_recorded
from processor.domain.points import apportion, divide, redemption_limit_points, redemption_value_minor
from processor.domain.program import Program, RoundingScope
from processor.domain.receipt import decide_sale
from processor.domain.situation import Situation
from tests.property.strategies import accounts, commands, line_items, programs


@st.composite
def near_redemptions(draw: st.DrawFn) -> tuple[Account, Command, Program]:
    """Redemptions close to every bound at once, so that each refusal has its chance."""
    account, command, program = draw(accounts), draw(commands()), draw(programs())
    limit_points = redemption_limit_points(program, command.receipt.total_minor)
    bound = draw(st.sampled_from([program.minimum_points, limit_points, account.balance_points]))
    wanted = max(1, bound + draw(st.integers(-1, 1)))
    balance = draw(st.sampled_from([account.balance_points, wanted - 1, wanted, limit_points]))
    kind = draw(st.sampled_from([Kind.REDEEM, Kind.CHECKOUT]))
    return (
        account._replace(balance_points=balance),
        command._replace(kind=kind, redeem_points=wanted),
        program,
    )


cases = st.tuples(accounts, commands(), programs()) | near_redemptions()


@given(cases)
def test_the_balance_stays_in_its_range(case: tuple[Account, Command, Program]) -> None:
    account, command, program = case
    decision = decide(account, command, program)
    after = account.balance_points + decision.earned_points - decision.redeemed_points
    assert 0 <= after <= BALANCE_POINTS_MAX
    assert min(decision.earned_points, decision.redeemed_points, decision.redeemed_minor) >= 0
    assert decision.redeemed_minor <= command.receipt.total_minor


@given(cases)
def test_a_decision_is_recorded_and_only_an_applied_one_moves_points(
    case: tuple[Account, Command, Program],
) -> None:
    decision = decide(*case)
    assert is_recorded(decision.outcome)
    if decision.outcome is Outcome.APPLIED:
        assert not decision.details
    else:
        assert (decision.earned_points, decision.redeemed_points, decision.redeemed_minor) == (0, 0, 0)


@given(cases)
def test_refusals_come_in_the_order_minimum_limit_balance_range(
    case: tuple[Account, Command, Program],
) -> None:
    account, command, program = case
    wanted, balance = command.redeem_points, account.balance_points
    limit_points = redemption_limit_points(program, command.receipt.total_minor)
    decision = decide(account, command, program)
    if 0 < wanted < program.minimum_points:
        expected = Outcome.REDEMPTION_BELOW_MINIMUM, {"minimum_points": program.minimum_points}
    elif wanted and wanted > limit_points:
        expected = Outcome.REDEMPTION_ABOVE_LIMIT, {"limit_points": limit_points}
    elif wanted > balance:
        bounds = {"available_points": balance, "balance_points": balance}
        expected = Outcome.INSUFFICIENT_POINTS, bounds
    else:
        assert decision.outcome in {Outcome.APPLIED, Outcome.BALANCE_OUT_OF_RANGE}
        return
    outcome, bound = expected
    assert decision == Decision(outcome, details={**bound, "redeem_points": wanted})


@given(cases)
def test_the_quick_way_decides_as_all_rules_together_do(case: tuple[Account, Command, Program]) -> None:
    account, command, program = case
    quick = decide(account, command, program)
    try:
        thorough = decide_sale(account, command, program, Situation())
    except Refusal as refusal:
        thorough = refusal.decision
    if quick.outcome is not Outcome.BALANCE_OUT_OF_RANGE:
        assert quick._replace(effects=NO_EFFECTS) == thorough._replace(effects=NO_EFFECTS)


def has_a_price(lines: list[LineItem]) -> bool:
    return any(line.amount_minor for line in lines)


@st.composite
def applied_sales(draw: st.DrawFn) -> tuple[Account, Command, Program]:
    """Sales of several lines that are not refused."""
    account, sale, program = draw(accounts), draw(commands()), draw(programs())
    bought = draw(st.lists(line_items, min_size=1, max_size=6).filter(has_a_price))
    # The same goods twice, and goods that only look alike: what is odd must go to the same line either way.
    lines = [*bought[:2], *(line._replace(sku="another") for line in bought)]
    receipt = Receipt("receipt", sum(line.amount_minor for line in lines), tuple(lines))
    limit_points = redemption_limit_points(program, receipt.total_minor)
    if limit_points >= program.minimum_points:
        points = draw(st.integers(program.minimum_points, limit_points))
        sale = sale._replace(kind=Kind.CHECKOUT, redeem_points=points)
    else:
        sale = sale._replace(kind=Kind.ACCRUE, redeem_points=0)
    account = account._replace(balance_points=draw(st.integers(sale.redeem_points, BALANCE_POINTS_MAX // 2)))
    return account, sale._replace(receipt=receipt), program


@given(applied_sales(), st.data())
def test_what_comes_back_is_undone_alike_whichever_way_it_went(
    case: tuple[Account, Command, Program], data: st.DataObject
) -> None:
    account, sale, program = case
    quick = decide(account, sale, program)
    assert quick.outcome is Outcome.APPLIED
    number = data.draw(st.integers(1, len(sale.receipt.lines)))
    quantity_milli = data.draw(st.integers(1, sale.receipt.lines[number - 1].quantity_milli))
    back = sale._replace(kind=Kind.RETURN, returned=(ReturnedLine(number, quantity_milli),))
    undone = [
        decide(account._replace(balance_points=BALANCE_POINTS_MAX // 2), back, program, _after(sale, way))
        for way in (quick, decide_sale(account, sale, program, Situation()))
    ]
    assert undone[0] == undone[1]


def _after(sale: Command, decision: Decision) -> Situation:
    """The situation of a call that undoes a sale that was decided so."""
    row = draft_operation(
        sale,
        Account(1, 0, 0, b""),
        decision,
        chain_id=1,
        payload_fingerprint=b"",
        program_version=1,
        recorded_at_us=0,
    )
    return Situation(original=original_from(row))


@given(cases)
def test_an_applied_command_does_what_it_says(case: tuple[Account, Command, Program]) -> None:
    account, command, program = case
    decision = decide(account, command, program)
    redeemed_minor = redemption_value_minor(program, command.redeem_points)
    if decision.outcome is Outcome.APPLIED:
        assert decision.redeemed_points == command.redeem_points
        assert decision.redeemed_minor == redeemed_minor
        earns = command.kind is not Kind.REDEEM
        assert decision.earned_points == earns * earned_points(program, command.receipt, redeemed_minor)
    if decision.outcome is Outcome.BALANCE_OUT_OF_RANGE:
        earned = earned_points(program, command.receipt, redeemed_minor)
        assert account.balance_points - command.redeem_points + earned > BALANCE_POINTS_MAX
        assert decision.details == {"balance_points": account.balance_points}


def earned_points(program: Program, receipt: Receipt, redeemed_minor: int) -> int:
    paid = [receipt.total_minor - redeemed_minor]
    if program.rounding_scope is RoundingScope.LINE and receipt.lines:
        amounts = [line.amount_minor for line in receipt.lines]
        shares = apportion(redeemed_minor, amounts)
        paid = [amount - share for amount, share in zip(amounts, shares, strict=True)]
    steps = sum(divide(part_minor, program.step_minor, program.rounding) for part_minor in paid)
    return steps * program.points_per_step
