"""ADJUST: points that the operator gives or takes, with a reason."""

from processor.domain.account import Account
from processor.domain.command import Command
from processor.domain.dating import lot_times_us, sliding_expiry_us
from processor.domain.decision import AppliedRule, Decision
from processor.domain.effects import Effects
from processor.domain.lots import credit, draw
from processor.domain.outcomes import Outcome
from processor.domain.program import Program
from processor.domain.rules.payment import insufficient
from processor.domain.situation import Situation
from processor.domain.state import decode_state
from processor.domain.undated import timed


def decide_adjustment(account: Account, command: Command, program: Program, situation: Situation) -> Decision:
    """Given points can be spent at once, and expire like earned ones. Raises Refusal."""
    rules = (AppliedRule("adjustment", command.points),)
    state = decode_state(account.state)
    if command.points < 0:
        available_points = state.available_points(account.balance_points)
        if -command.points > available_points:
            raise insufficient(account.balance_points, available_points, -command.points)
        lots = draw(state, account.balance_points, -command.points)
        left_points = account.balance_points + command.points
        effects = timed(state, Effects(lots=lots), left_points, state.undated_expires_at_us)
        return Decision(
            Outcome.APPLIED, redeemed_points=-command.points, effects=effects, applied_rules=rules
        )
    _, expires_at_us = lot_times_us(program, situation.now_us, situation.now_us)
    lots = credit(state, account.balance_points, command.points, active_at_us=0, expires_at_us=expires_at_us)
    time_us = sliding_expiry_us(program, situation.now_us) or state.undated_expires_at_us
    effects = timed(state, Effects(lots=lots), account.balance_points + command.points, time_us)
    return Decision(Outcome.APPLIED, earned_points=command.points, effects=effects, applied_rules=rules)
