"""Points set apart for an order: HOLD, and then either CAPTURE or VOID, or they come back by themselves."""

from hashlib import blake2b
from typing import Final

from processor.domain.account import Account
from processor.domain.command import Command, Kind
from processor.domain.decision import AppliedRule, Decision, Refusal
from processor.domain.effects import Effects, LotChange
from processor.domain.lots import draw, drawn_slices, give_back
from processor.domain.maturity import release
from processor.domain.outcomes import Outcome
from processor.domain.points import redemption_value_minor
from processor.domain.program import Program
from processor.domain.rules.limits import flag_limits_of_capture, keep_limits_of_hold
from processor.domain.rules.payment import bounded_points, insufficient
from processor.domain.situation import Situation
from processor.domain.state import Hold, Lot, MemberState, decode_state
from processor.domain.undated import time_from_us, timed

_US: Final = 1_000_000


def hold_id_of(idempotency_key: str) -> int:
    """A hold as the state names it: a hash of the key of its HOLD."""
    return int.from_bytes(blake2b(idempotency_key.encode(), digest_size=8).digest(), "little", signed=True)


def decide_hold(account: Account, command: Command, program: Program, situation: Situation) -> Decision:
    """Raises Refusal: minimum, limit, balance, too many open holds, velocity limits."""
    state = decode_state(account.state)
    _refuse_hold(account, state, command, program, situation)
    kept = keep_limits_of_hold(state, command, program, situation)
    seconds = command.hold_seconds or program.holds.default_seconds
    expires_at_us = situation.now_us + min(seconds, program.holds.maximum_seconds) * _US
    drawn = draw(state, account.balance_points, command.points)
    hold = Hold(hold_id_of(command.idempotency_key), expires_at_us, drawn_slices(drawn, command.points))
    return Decision(
        Outcome.APPLIED,
        redeemed_minor=redemption_value_minor(program, command.points),
        effects=Effects(lots=drawn, opened_holds=(hold,), counted=kept.counted),
        applied_rules=(AppliedRule("holds"),),
        flags=tuple(kept.flags),
        hold_expires_at_us=expires_at_us,
    )


def _refuse_hold(
    account: Account, state: MemberState, command: Command, program: Program, situation: Situation
) -> None:
    if command.points < program.minimum_points:
        raise Refusal(
            Outcome.REDEMPTION_BELOW_MINIMUM,
            minimum_points=program.minimum_points,
            redeem_points=command.points,
        )
    limit_points = _points_limit(state, program, situation)
    if command.points > limit_points:
        raise Refusal(Outcome.REDEMPTION_ABOVE_LIMIT, limit_points=limit_points, redeem_points=command.points)
    available_points = state.available_points(account.balance_points)
    if command.points > available_points:
        raise insufficient(account.balance_points, available_points, command.points)
    hold_id = hold_id_of(command.idempotency_key)
    # A key may be used again after the chain's window, while its first hold is still open.
    is_held = any(hold.hold_id == hold_id for hold in state.holds)
    if len(state.holds) >= program.holds.open_max or is_held:
        raise Refusal(Outcome.TOO_MANY_HOLDS, open_max=program.holds.open_max)


def _points_limit(state: MemberState, program: Program, situation: Situation) -> int:
    """The most points of an order, as far as it does not depend on its receipt."""
    if not program.maximum_share_percent:
        return 0
    return bounded_points(program, state, situation.now_us, 0)


def decide_capture(account: Account, command: Command, program: Program, situation: Situation) -> Decision:
    """Spend a hold's points, all or part of them; the rest comes back. Raises Refusal."""
    state = decode_state(account.state)
    hold = _open_hold(state, command, situation)
    points = command.points or hold.points
    if points > hold.points:
        raise Refusal(Outcome.CAPTURE_ABOVE_HOLD, held_points=hold.points, points=points)
    value_minor = redemption_value_minor(program, points)
    kept = flag_limits_of_capture(state, command, program, situation, points)
    effects = _capture(account, hold, points, program, situation.now_us)
    return Decision(
        Outcome.APPLIED,
        redeemed_points=points,
        redeemed_minor=value_minor,
        total_minor=value_minor,
        effects=effects._replace(counted=kept.counted),
        applied_rules=(AppliedRule("redemption", -points, value_minor),),
        flags=tuple(kept.flags),
    )


def _capture(account: Account, hold: Hold, points: int, program: Program, now_us: int) -> Effects:
    """As the ledger tells it: all slices come back, and what is captured is drawn from them."""
    state = decode_state(account.state)
    taken = _first_of(hold.slices, points)
    spent = tuple([LotChange(0, expires_at_us, -part) for expires_at_us, part in taken])
    back = tuple([LotChange(0, expires_at_us, part) for expires_at_us, part in taken])
    rest = _without(hold.slices, taken)
    lots = back + give_back(state, account.balance_points, rest) + spent
    effects = Effects(lots=lots, closed_holds=(hold.hold_id,))
    time_us = time_from_us(state, program, now_us)
    return timed(state, effects, account.balance_points - points, time_us)


def decide_void(account: Account, command: Command, program: Program, situation: Situation) -> Decision:
    """Give a hold's points back. Raises Refusal."""
    state = decode_state(account.state)
    hold = _open_hold(state, command, situation)
    return Decision(
        Outcome.APPLIED,
        effects=release(state, account.balance_points, hold, program, situation.now_us),
        applied_rules=(AppliedRule("holds"),),
    )


def _open_hold(state: MemberState, command: Command, situation: Situation) -> Hold:
    """The hold that a command names. Raises Refusal with what has become of it."""
    original = situation.original
    if original is None or original.kind != Kind.HOLD or original.outcome != Outcome.APPLIED:
        raise Refusal(Outcome.ORIGINAL_NOT_FOUND, original_key=command.original_key)
    hold_id = hold_id_of(command.original_key)
    for hold in state.holds:
        if hold.hold_id == hold_id:
            return hold
    kinds = {follower.kind for follower in original.followers}
    if Kind.CAPTURE in kinds:
        raise Refusal(Outcome.HOLD_CAPTURED, original_key=command.original_key)
    outcome = Outcome.HOLD_VOID if Kind.VOID in kinds else Outcome.HOLD_EXPIRED
    raise Refusal(outcome, original_key=command.original_key)


def _first_of(slices: tuple[Lot, ...], points: int) -> list[Lot]:
    taken: list[Lot] = []
    for expires_at_us, available in slices:
        part = min(available, points)
        points -= part
        if part:
            taken.append(Lot(expires_at_us, part))
    return taken


def _without(slices: tuple[Lot, ...], taken: list[Lot]) -> list[Lot]:
    by_slice = dict(taken)
    rest = [Lot(at_us, points - by_slice.get(at_us, 0)) for at_us, points in slices]
    return [piece for piece in rest if piece.points]
