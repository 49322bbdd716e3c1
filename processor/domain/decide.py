"""The seam of all rules: account, command, program and situation in, decision out."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from processor.domain.account import Account
from processor.domain.adjustment import decide_adjustment
from processor.domain.command import SALE_KINDS, Command, Kind
from processor.domain.decision import AppliedRule, Decision, Refusal, plain_sale
from processor.domain.holds import decide_capture, decide_hold, decide_void
from processor.domain.limits import BALANCE_POINTS_MAX
from processor.domain.outcomes import Outcome
from processor.domain.points import earned_points, redemption_limit_points, redemption_value_minor
from processor.domain.program import Program, RoundingScope
from processor.domain.quote_token import held_to_quote
from processor.domain.receipt import decide_sale
from processor.domain.records import record
from processor.domain.reversal import decide_return, decide_reversal
from processor.domain.situation import NOTHING_KNOWN, Situation

_LINE: Final = RoundingScope.LINE
_REDEEM: Final = Kind.REDEEM

_Decide = Callable[[Account, Command, Program, Situation], Decision]
_BY_KIND: Final[Mapping[Kind, _Decide]] = MappingProxyType(
    {
        Kind.ACCRUE: decide_sale,
        Kind.REDEEM: decide_sale,
        Kind.CHECKOUT: decide_sale,
        Kind.HOLD: decide_hold,
        Kind.CAPTURE: decide_capture,
        Kind.VOID: decide_void,
        Kind.REVERSE: decide_reversal,
        Kind.RETURN: decide_return,
        Kind.ADJUST: decide_adjustment,
    }
)


def decide(
    account: Account, command: Command, program: Program, situation: Situation = NOTHING_KNOWN
) -> Decision:
    """Decide one command on an account on which nothing is due any more."""
    try:
        if _is_plain(account, command, program):
            decision = _decide_plain_sale(account, command, program)
        else:
            decision = _BY_KIND[command.kind](account, command, program, situation)
        _refuse_out_of_range(account, decision)
    except Refusal as refusal:
        decision = refusal.decision
    return held_to_quote(command, program.version, decision) if command.quote_token else decision


def _refuse_out_of_range(account: Account, decision: Decision) -> None:
    balance_points = account.balance_points + decision.earned_points - decision.redeemed_points
    if not -BALANCE_POINTS_MAX <= balance_points <= BALANCE_POINTS_MAX:
        raise Refusal(Outcome.BALANCE_OUT_OF_RANGE, balance_points=account.balance_points)


def _is_plain(account: Account, command: Command, program: Program) -> bool:
    """Whether there is one rate and one redemption and nothing else to look at: the quick way.

    Of lines that are rounded each by itself it must be kept what each has earned: it may come back.
    """
    return not (
        account.state
        or program.steps
        or command.offline
        or command.reward_ids
        or command.kind not in SALE_KINDS
        or (program.rounding_scope is _LINE and command.receipt.lines)
    )


def _decide_plain_sale(account: Account, command: Command, program: Program) -> Decision:
    """The same as `decide_sale` for such a call; a test holds that."""
    wanted, redeemed_minor = command.redeem_points, 0
    rules: tuple[AppliedRule, ...] = ()
    if wanted:
        _refuse_redemption(account, command, program)
        redeemed_minor = redemption_value_minor(program, wanted)
        rules = (AppliedRule("redemption", -wanted, redeemed_minor),)
    earned = 0
    if command.kind is not _REDEEM:
        earned = earned_points(program, command.receipt.total_minor - redeemed_minor)
    if earned:
        rules += (record(AppliedRule, ("earning", earned, 0)),)
    return plain_sale(earned, wanted, redeemed_minor, rules)


def _refuse_redemption(account: Account, command: Command, program: Program) -> None:
    wanted = command.redeem_points
    if wanted < program.minimum_points:
        raise Refusal(
            Outcome.REDEMPTION_BELOW_MINIMUM, minimum_points=program.minimum_points, redeem_points=wanted
        )
    limit_points = redemption_limit_points(program, command.receipt.total_minor)
    if wanted > limit_points:
        raise Refusal(Outcome.REDEMPTION_ABOVE_LIMIT, limit_points=limit_points, redeem_points=wanted)
    if wanted > account.balance_points:
        raise Refusal(
            Outcome.INSUFFICIENT_POINTS,
            available_points=account.balance_points,
            balance_points=account.balance_points,
            redeem_points=wanted,
        )
