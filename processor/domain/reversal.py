"""REVERSE and RETURN: what an operation did is undone, whole or in part, and no unit of it twice."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from processor.domain.account import Account
from processor.domain.calendar import month_of
from processor.domain.command import Command, Kind, ReturnedLine, lines_from_text
from processor.domain.dating import grace_expiry_us
from processor.domain.decision import AppliedRule, Decision, Refusal
from processor.domain.effects import (
    Counted,
    Effects,
    LotChange,
    Qualified,
    ReturnedPart,
    TierBase,
    apply_effects,
)
from processor.domain.effects_bytes import decode_effects
from processor.domain.lots import draw, drawn_slices, give_back, last_of
from processor.domain.operation import Original
from processor.domain.outcomes import Outcome
from processor.domain.parts import Part, minus, part_of, whole_of
from processor.domain.points import redemption_value_minor
from processor.domain.program import Program, ShortfallPolicy
from processor.domain.situation import Situation
from processor.domain.state import Lot, MemberState, decode_state
from processor.domain.tiers import newly_settled
from processor.domain.undated import time_from_us, timed

_REVERSIBLE: Final = frozenset({Kind.ACCRUE, Kind.REDEEM, Kind.CHECKOUT, Kind.CAPTURE, Kind.ADJUST})


def decide_reversal(account: Account, command: Command, program: Program, situation: Situation) -> Decision:
    """Undo all of an operation that has not been undone yet. Raises Refusal."""
    original = _reversible(command, situation)
    done = _done(original)
    lines = lines_from_text(original.receipt_lines)
    rest = [
        ReturnedLine(number, line.quantity_milli - done.get(number, 0))
        for number, line in enumerate(lines, 1)
        if line.quantity_milli > done.get(number, 0)
    ]
    if not rest and (lines or original.followers):
        raise Refusal(Outcome.ALREADY_REVERSED, original_key=command.original_key)
    return _undo(account, original, rest, program, situation)


def decide_return(account: Account, command: Command, program: Program, situation: Situation) -> Decision:
    """Undo an operation for the goods that come back. Raises Refusal."""
    original = _reversible(command, situation)
    done = _done(original)
    lines = lines_from_text(original.receipt_lines)
    for number, quantity_milli in command.returned:
        sold_milli = lines[number - 1].quantity_milli if number <= len(lines) else 0
        remaining_milli = sold_milli - done.get(number, 0)
        if quantity_milli > remaining_milli:
            raise Refusal(
                Outcome.RETURN_ABOVE_ORIGINAL,
                line_number=number,
                remaining_quantity_milli=remaining_milli,
            )
    return _undo(account, original, command.returned, program, situation)


def _reversible(command: Command, situation: Situation) -> Original:
    original = situation.original
    if original is None:
        raise Refusal(Outcome.ORIGINAL_NOT_FOUND, original_key=command.original_key)
    if original.kind not in _REVERSIBLE or original.outcome != Outcome.APPLIED:
        raise Refusal(Outcome.NOT_REVERSIBLE, original_key=command.original_key)
    return original


def _done(original: Original) -> dict[int, int]:
    """Quantities in thousandths that have come back already, by line number."""
    done: dict[int, int] = {}
    for follower in original.followers:
        for number, quantity_milli in decode_effects(follower.effects).returned:
            done[number] = done.get(number, 0) + quantity_milli
    return done


def _undo(
    account: Account,
    original: Original,
    returned: Sequence[ReturnedLine],
    program: Program,
    situation: Situation,
) -> Decision:
    effects = decode_effects(original.effects)
    done = _done(original)
    before = part_of(original, effects, done)
    after = part_of(original, effects, _add(done, returned)) if returned else whole_of(original)
    part = minus(after, before)
    state = decode_state(account.state)
    undated_until_us = _undated_until_us(account, state, original, program)
    slices = last_of(
        drawn_slices(effects.lots, original.redeemed_points), before.redeemed_points, part.redeemed_points
    )
    debt_points = max(-state.undated_points(account.balance_points), 0)
    restored = _restore(slices, debt_points, undated_until_us, program, situation.now_us)
    taken = _claw_back(account, state, effects, restored, part.earned_points, program)
    decision = _decision(part, restored, taken, program)
    undone = Effects(
        lots=taken.lots,
        qualified=_disqualified(effects, part),
        tier_base=_settled_base(state, program, situation),
        returned=tuple([ReturnedPart(*line) for line in returned]),
        shortfall_points=taken.shortfall_points,
        uncounted=_uncounted(effects, decision),
    )
    balance_points = account.balance_points + decision.earned_points - decision.redeemed_points
    return decision._replace(effects=timed(state, undone, balance_points, undated_until_us))


def _undated_until_us(account: Account, state: MemberState, original: Original, program: Program) -> int:
    """When points without a date of their own expire that come back; 0 if never.

    With those that are there, else as long as the sale that spent them would have let them live.
    """
    if state.undated_points(account.balance_points) > 0:
        return state.undated_expires_at_us
    return time_from_us(state, program, original.recorded_at_us)


def _uncounted(effects: Effects, undone: Decision) -> tuple[Counted, ...]:
    """What has been given back is to be had again within the limits of its hour and day."""
    if not (undone.earned_points or undone.redeemed_points):
        return ()
    # Earned points are what an undoing redeems, and redeemed ones what it earns.
    return tuple(
        [
            each._replace(earned_points=undone.redeemed_points, redeemed_points=undone.earned_points)
            for each in effects.counted
        ]
    )


def _add(done: dict[int, int], returned: Sequence[ReturnedLine]) -> dict[int, int]:
    return done | {number: done.get(number, 0) + quantity for number, quantity in returned}


def _restore(
    slices: Iterable[Lot], debt_points: int, undated_until_us: int, program: Program, now_us: int
) -> list[Lot]:
    """The lots that redeemed points come back into, the last drawn first.

    What pays a debt is not lost: the debt may be what the operation itself has made.
    """
    restored: list[Lot] = []
    for expires_at_us, points in slices:
        paid = min(points, debt_points)
        debt_points -= paid
        rest = _revive(Lot(expires_at_us, points - paid), undated_until_us, program, now_us)
        restored += [piece for piece in (Lot(expires_at_us, paid), rest) if piece.points]
    return restored


def _revive(piece: Lot, undated_until_us: int, program: Program, now_us: int) -> Lot:
    if not 0 < (piece.expires_at_us or undated_until_us) <= now_us:
        return piece
    if program.returns.grace_days is None:
        return Lot(0, 0)
    return Lot(grace_expiry_us(program, program.returns.grace_days, now_us), piece.points)


class _Taken(NamedTuple):
    """Points taken from the member, and those that could not be, with all changes of lots."""

    points: int
    shortfall_points: int
    lots: tuple[LotChange, ...]


def _claw_back(
    account: Account,
    state: MemberState,
    effects: Effects,
    restored: Sequence[Lot],
    points: int,
    program: Program,
) -> _Taken:
    """Take earned points back: from the very lots they went into, then from those that expire soonest."""
    back = give_back(state, account.balance_points, restored)
    balance_points = account.balance_points + sum(piece.points for piece in restored)
    state = apply_effects(state, Effects(lots=back))
    is_pending_only = program.returns.shortfall is ShortfallPolicy.PENDING_ONLY
    own = _own_lots(state, effects, points, is_pending_only=is_pending_only)
    owed = points + sum(change.points for change in own)
    state = apply_effects(state, Effects(lots=own))
    balance_points -= points - owed
    available_points = 0 if is_pending_only else max(state.available_points(balance_points), 0)
    if program.returns.shortfall is ShortfallPolicy.ALLOW_NEGATIVE:
        available_points = owed
    others = draw(state, balance_points, min(owed, available_points))
    shortfall_points = owed - min(owed, available_points)
    return _Taken(points - shortfall_points, shortfall_points, back + own + others)


def _own_lots(
    state: MemberState, effects: Effects, points: int, *, is_pending_only: bool
) -> tuple[LotChange, ...]:
    """What is left of the lots that the original added to, up to `points`."""
    left = {(0, expires_at_us): there for expires_at_us, there in state.lots} if not is_pending_only else {}
    left |= {(active_at_us, expires_at_us): there for active_at_us, expires_at_us, there in state.pending}
    changes: list[LotChange] = []
    for active_at_us, expires_at_us, added in effects.lots:
        added_left = added
        for times in ((active_at_us, expires_at_us), (0, expires_at_us)):
            taken = min(points, added_left, left.get(times, 0))
            if taken > 0:
                changes.append(LotChange(*times, -taken))
                left[times] -= taken
                points -= taken
                added_left -= taken
    return tuple(changes)


def _settled_base(state: MemberState, program: Program, situation: Situation) -> TierBase | None:
    """A period that has ended is not gone back on: its end is noted before anything is taken from it."""
    if program.tiers is None:
        return None
    return newly_settled(program.tiers, state.qualification, month_of(situation.now_us, program.timezone))


def _disqualified(effects: Effects, part: Part) -> tuple[Qualified, ...]:
    """What no longer counts towards the tier, where the original counted."""
    return tuple(
        [
            counted._replace(points=-part.earned_points, minor=-part.paid_minor if counted.minor else 0)
            for counted in effects.qualified
        ]
    )


def _decision(part: Part, restored: Sequence[Lot], taken: _Taken, program: Program) -> Decision:
    shortfall_minor = 0
    if program.returns.shortfall is ShortfallPolicy.REDUCE_REFUND:
        value_minor = redemption_value_minor(program, taken.shortfall_points)
        shortfall_minor = min(value_minor, part.paid_minor)
    restored_points = sum(piece.points for piece in restored)
    return Decision(
        Outcome.APPLIED,
        restored_points,
        taken.points,
        part.redeemed_minor,
        discount_minor=part.discount_minor,
        total_minor=part.total_minor,
        shortfall_points=taken.shortfall_points,
        shortfall_minor=shortfall_minor,
        applied_rules=(AppliedRule("returns", restored_points - taken.points),),
    )
