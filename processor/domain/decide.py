"""The seam of all rules: state, command and program in, decision out."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from processor.domain.account import Account
from processor.domain.command import Command, Kind
from processor.domain.limits import BALANCE_POINTS_MAX
from processor.domain.outcomes import Outcome
from processor.domain.points import earned_points, redemption_limit_points, redemption_value_minor
from processor.domain.program import Program

_NO_DETAILS: Final[Mapping[str, int]] = MappingProxyType({})


class Decision(NamedTuple):
    """What a command does to an account: points only if it is `APPLIED`, else the refusal's `details`."""

    outcome: Outcome
    earned_points: int = 0
    redeemed_points: int = 0
    redeemed_minor: int = 0
    details: Mapping[str, int] = _NO_DETAILS


def decide(state: Account, command: Command, program: Program) -> Decision:
    """Decide one command. Refusals in order of precedence: minimum, limit, balance, range."""
    refusal = _refuse_redemption(state, command, program) if command.redeem_points else None
    if refusal:
        return refusal
    redeemed_minor = redemption_value_minor(program, command.redeem_points)
    earned = 0 if command.kind is Kind.REDEEM else earned_points(program, command.receipt, redeemed_minor)
    if state.balance_points - command.redeem_points + earned > BALANCE_POINTS_MAX:
        return Decision(Outcome.BALANCE_OUT_OF_RANGE, details={"balance_points": state.balance_points})
    return Decision(Outcome.APPLIED, earned, command.redeem_points, redeemed_minor)


def _refuse_redemption(state: Account, command: Command, program: Program) -> Decision | None:
    wanted = command.redeem_points
    if wanted < program.minimum_points:
        return _refusal(Outcome.REDEMPTION_BELOW_MINIMUM, wanted, "minimum_points", program.minimum_points)
    limit_points = redemption_limit_points(program, command.receipt.total_minor)
    if wanted > limit_points:
        return _refusal(Outcome.REDEMPTION_ABOVE_LIMIT, wanted, "limit_points", limit_points)
    if wanted > state.balance_points:
        return _refusal(Outcome.INSUFFICIENT_POINTS, wanted, "balance_points", state.balance_points)
    return None


def _refusal(outcome: Outcome, wanted: int, bound_name: str, bound: int) -> Decision:
    return Decision(outcome, details={bound_name: bound, "redeem_points": wanted})
