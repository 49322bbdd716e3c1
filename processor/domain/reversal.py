"""REVERSE and RETURN: what an operation did is undone, whole or in part, and no unit of it twice."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from processor.domain.account import Account
from processor.domain.calendar import month_of
from processor.domain.command import Command, Kind, LineItem, ReturnedLine, lines_from_text
from processor.domain.dating import grace_expiry_us
from processor.domain.decision import AppliedRule, Decision, Refusal
from processor.domain.effects import (
    Effects,
    LineShare,
    LotChange,
    Qualified,
    ReturnedPart,
    TierBase,
    apply_effects,
    decode_effects,
)
from processor.domain.lots import draw, drawn_slices, give_back, last_of
from processor.domain.maturity import undated_expiry_us
from processor.domain.operation import Original
from processor.domain.outcomes import Outcome
from processor.domain.points import apportion, redemption_value_minor
from processor.domain.program import Program, ShortfallPolicy
from processor.domain.situation import Situation
from processor.domain.state import Lot, MemberState, decode_state
from processor.domain.tiers import newly_settled

_REVERSIBLE: Final = frozenset({Kind.ACCRUE, Kind.REDEEM, Kind.CHECKOUT, Kind.CAPTURE, Kind.ADJUST})


class Part(NamedTuple):
    """How much of an operation: points it earned and redeemed, and money of its receipt."""

    earned_points: int
    redeemed_points: int
    redeemed_minor: int
    discount_minor: int
    total_minor: int


_NOTHING: Final = Part(0, 0, 0, 0, 0)


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
    if original.kind not in _REVERSIBLE or original.outcome is not Outcome.APPLIED:
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
    before = _part(original, effects, _done(original))
    after = _part(original, effects, _add(_done(original), returned)) if returned else _whole(original)
    part = Part._make(now - was for now, was in zip(after, before, strict=True))
    state = decode_state(account.state)
    restored = _restore(original, effects, before.redeemed_points, part.redeemed_points, program, situation)
    taken = _claw_back(account, state, effects, restored, part.earned_points, program)
    undated_us = undated_expiry_us(state, program, situation.now_us) if part.redeemed_points else None
    return _decision(part, restored, taken, program)._replace(
        effects=Effects(
            lots=taken.lots,
            undated_expires_at_us=undated_us,
            qualified=_disqualified(effects, before, after),
            tier_base=_settled_base(state, program, situation),
            returned=tuple([ReturnedPart(*line) for line in returned]),
            shortfall_points=taken.shortfall_points,
        )
    )


def _add(done: dict[int, int], returned: Sequence[ReturnedLine]) -> dict[int, int]:
    return done | {number: done.get(number, 0) + quantity for number, quantity in returned}


def _whole(original: Original) -> Part:
    return Part(
        original.earned_points,
        original.redeemed_points,
        original.redeemed_minor,
        original.discount_minor,
        original.total_minor,
    )


def _part(original: Original, effects: Effects, quantities_milli: dict[int, int]) -> Part:
    """What belongs to the quantities of all lines that have come back: never more than the whole."""
    lines = lines_from_text(original.receipt_lines)
    shares = effects.shares or _plain_shares(original, lines)
    part = _NOTHING
    for number, quantity_milli in quantities_milli.items():
        part = _plus(part, _part_of_line(lines[number - 1], shares[number - 1], quantity_milli))
    return part


def _part_of_line(line: LineItem, share: LineShare, quantity_milli: int) -> Part:
    """Rounded down one by one; the total is the sum of what was paid in every way, so none of it shrinks."""
    paid_minor = line.amount_minor - share.redeemed_minor - share.discount_minor
    *parts, paid = [amount * quantity_milli // line.quantity_milli for amount in (*share, paid_minor)]
    earned, redeemed, by_points, discount = parts
    return Part(earned, redeemed, by_points, discount, by_points + discount + paid)


def _plus(part: Part, other: Part) -> Part:
    return Part._make(a + b for a, b in zip(part, other, strict=True))


def _plain_shares(original: Original, lines: Sequence[LineItem]) -> Sequence[LineShare]:
    """Of a receipt that only met one rate, rounded once, and one redemption: no shares are kept for it."""
    if not lines:
        return ()
    amounts = [line.amount_minor for line in lines]
    redeemed_minor = apportion(original.redeemed_minor, amounts, lines)
    paid = [amount - redeemed for amount, redeemed in zip(amounts, redeemed_minor, strict=True)]
    columns = zip(
        apportion(original.earned_points, paid if any(paid) else amounts, lines),
        apportion(original.redeemed_points, redeemed_minor if any(redeemed_minor) else amounts, lines),
        redeemed_minor,
        [0] * len(lines),
        strict=True,
    )
    return [LineShare(*share) for share in columns]


def _restore(
    original: Original, effects: Effects, skipped: int, points: int, program: Program, situation: Situation
) -> list[Lot]:
    """The lots that redeemed points come back into, the last drawn first."""
    slices = last_of(drawn_slices(effects.lots, original.redeemed_points), skipped, points)
    return [
        Lot(expires_at_us, part)
        for expires_at_us, part in (_revive(piece, program, situation.now_us) for piece in slices)
        if part
    ]


def _revive(piece: Lot, program: Program, now_us: int) -> Lot:
    if not 0 < piece.expires_at_us <= now_us:
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
    left = {(0, lot.expires_at_us): lot.points for lot in state.lots} if not is_pending_only else {}
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


def _disqualified(effects: Effects, before: Part, after: Part) -> tuple[Qualified, ...]:
    """What no longer counts towards the tier, where the original counted."""
    return tuple(
        [
            counted._replace(
                points=before.earned_points - after.earned_points,
                minor=_paid_minor(before) - _paid_minor(after) if counted.minor else 0,
            )
            for counted in effects.qualified
        ]
    )


def _paid_minor(part: Part) -> int:
    """The money paid for a part of a receipt."""
    return part.total_minor - part.discount_minor - part.redeemed_minor


def _decision(part: Part, restored: Sequence[Lot], taken: _Taken, program: Program) -> Decision:
    shortfall_minor = 0
    if program.returns.shortfall is ShortfallPolicy.REDUCE_REFUND:
        value_minor = redemption_value_minor(program, taken.shortfall_points)
        shortfall_minor = min(value_minor, _paid_minor(part))
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
