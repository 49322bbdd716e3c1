"""What a checkout would give right now, and what else the member may choose."""

from typing import NamedTuple

from processor.domain.account import Account
from processor.domain.command import Command
from processor.domain.decide import decide
from processor.domain.decision import Decision, Refusal
from processor.domain.maturity import matured
from processor.domain.outcomes import Outcome
from processor.domain.program import Program
from processor.domain.quote_token import quote_token
from processor.domain.receipt import run_rules
from processor.domain.rules.limits import points_within_limits
from processor.domain.rules.payment import points_limit
from processor.domain.rules.rewards import why_not
from processor.domain.situation import Situation
from processor.domain.standing import Standing, standing_of


class Quoted(NamedTuple):
    """The decision that the checkout would get, and where the member stands before it.

    `redeemable_points_max` is the most that this receipt takes of this member with the rewards chosen (0 if
    that is less than `minimum_points`). `available_rewards` are those that could be taken without points that
    pay. The token is empty if the decision is a refusal.
    """

    decision: Decision
    standing: Standing
    redeemable_points_max: int
    minimum_points: int
    available_rewards: tuple[str, ...]
    quote_token: str


def quote(account: Account, command: Command, program: Program, situation: Situation) -> Quoted:
    """Decide a CHECKOUT without doing it; what is due by now counts as done."""
    current = matured(account, program, situation.now_us)
    decision = decide(current, command, program, situation)
    is_applied = decision.outcome is Outcome.APPLIED
    return Quoted(
        decision,
        standing_of(current, program, situation.now_us),
        _redeemable_points(current, command, program, situation),
        program.minimum_points,
        _available_rewards(current, command, program, situation),
        quote_token(command, program.version, decision) if is_applied else "",
    )


def _redeemable_points(account: Account, command: Command, program: Program, situation: Situation) -> int:
    """Where points that pay would cost the discount, the receipt without the discount counts."""
    try:
        sale = run_rules(account, command._replace(redeem_points=program.minimum_points), program, situation)
    except Refusal:
        return 0
    sale.take_payment_back()
    within_limits = points_within_limits(sale) - sale.redeemed_points
    most = min(points_limit(sale), sale.available_points - sale.redeemed_points, within_limits)
    return most if most >= program.minimum_points else 0


def _available_rewards(
    account: Account, command: Command, program: Program, situation: Situation
) -> tuple[str, ...]:
    if not program.rewards:
        return ()
    try:
        sale = run_rules(account, command._replace(redeem_points=0, reward_ids=()), program, situation)
    except Refusal:
        return ()
    most = points_within_limits(sale)
    return tuple(
        [
            reward.reward_id
            for reward in program.rewards
            if reward.points <= most and not why_not(sale, reward)
        ]
    )
