"""The time at which points without a date of their own expire together."""

from processor.domain.dating import sliding_expiry_us
from processor.domain.effects import Effects, apply_effects
from processor.domain.program import Program
from processor.domain.state import MemberState


def time_from_us(state: MemberState, program: Program, at_us: int) -> int:
    """The time that they have, or else get by the program as of `at_us`; 0 if never."""
    return state.undated_expires_at_us or sliding_expiry_us(program, at_us)


def timed(state: MemberState, effects: Effects, balance_points: int, expires_at_us: int) -> Effects:
    """The effects, after which undated points have this time; none, where they leave no such points.

    `balance_points` are those that they lead to.
    """
    after = apply_effects(state, effects)
    wanted_us = expires_at_us if after.undated_points(balance_points) > 0 else 0
    if wanted_us == after.undated_expires_at_us:
        return effects
    return effects._replace(undated_expires_at_us=wanted_us)
