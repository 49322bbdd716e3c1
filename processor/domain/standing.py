"""Where a member stands after an operation: part of every answer."""

from typing import NamedTuple

from processor.domain.account import Account
from processor.domain.calendar import month_of
from processor.domain.maturity import is_due, matured
from processor.domain.program import Program
from processor.domain.records import record
from processor.domain.state import MemberState, decode_state
from processor.domain.tiers import TierStanding, tier_standing


class Standing(NamedTuple):
    """The balance in its parts; `available_points` below zero are a debt. `tier` is None without tiers."""

    available_points: int
    held_points: int = 0
    pending_points: int = 0
    tier: TierStanding | None = None


def standing_after(
    account: Account, balance_points: int, state: bytes, program: Program, now_us: int
) -> Standing:
    """The parts of the balance and the tier once an operation has left an account with these."""
    if not (state or program.tiers):
        return record(Standing, (balance_points, 0, 0, None))
    after = decode_state(state)
    if not is_due(after, now_us):
        return standing_in(after, balance_points, program, now_us)
    # Points may come to a lot that has expired: nobody is told that they can be spent.
    account = account._replace(balance_points=balance_points, state=state)
    return standing_of(matured(account, program, now_us), program, now_us)


def standing_of(account: Account, program: Program, now_us: int) -> Standing:
    """The same of an account on which nothing is due any more."""
    return standing_in(decode_state(account.state), account.balance_points, program, now_us)


def standing_in(state: MemberState, balance_points: int, program: Program, now_us: int) -> Standing:
    """The same, of a state that is at hand."""
    tier = None
    if program.tiers:
        tier = tier_standing(program.tiers, state.qualification, month_of(now_us, program.timezone))
    held_points, pending_points = state.held_points, state.pending_points
    return Standing(balance_points - held_points - pending_points, held_points, pending_points, tier)
