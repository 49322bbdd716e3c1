"""What was done is undone, whole or in part: Reverse, Return."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from loyalty.v1.transaction_service_pb2 import ReturnRequest, ReverseRequest
from processor.domain.program_document import ProgramDocument
from tests.acceptance.reckoning.calendar import grace_until_us, slides_until_us
from tests.acceptance.reckoning.limits import now_us
from tests.acceptance.reckoning.member import NOTHING, Decided, Done, Member, Part, SoldLine
from tests.acceptance.reckoning.replies import Refused, Rule
from tests.acceptance.reckoning.sale import point_minor
from tests.acceptance.reckoning.wallet import Slice, Wallet

_REVERSIBLE: Final = {"ACCRUE", "REDEEM", "CHECKOUT", "CAPTURE", "ADJUST"}


def reverse(program: ProgramDocument, member: Member, request: ReverseRequest) -> Decided:
    """Undo what is left of an operation. Raises Refused."""
    original = _original(member, request.original_idempotency_key)
    rest = {
        number: line.quantity_milli - original.returned_milli.get(number, 0)
        for number, line in enumerate(original.lines, 1)
    }
    rest = {number: quantity_milli for number, quantity_milli in rest.items() if quantity_milli}
    if not rest and (original.lines or original.followed_by):
        raise Refused("ALREADY_REVERSED", original_key=request.original_idempotency_key)
    return _undo(program, member, request, original, rest)


def bring_back(program: ProgramDocument, member: Member, request: ReturnRequest) -> Decided:
    """Undo a sale for some lines. Raises Refused."""
    original = _original(member, request.original_idempotency_key)
    back = {line.line_number: line.quantity_milli for line in request.lines}
    sold = {number: line.quantity_milli for number, line in enumerate(original.lines, 1)}
    for number, quantity_milli in back.items():
        remaining = sold.get(number, 0) - original.returned_milli.get(number, 0)
        if quantity_milli > remaining:
            raise Refused("RETURN_ABOVE_ORIGINAL", line_number=number, remaining_quantity_milli=remaining)
    return _undo(program, member, request, original, back)


def _original(member: Member, key: str) -> Done:
    original = member.done.get(key)
    if original is None:
        raise Refused("ORIGINAL_NOT_FOUND", original_key=key)
    if original.kind not in _REVERSIBLE or not original.is_applied:
        raise Refused("NOT_REVERSIBLE", original_key=key)
    return original


def _undo(
    program: ProgramDocument,
    member: Member,
    request: ReverseRequest | ReturnRequest,
    original: Done,
    back: Mapping[int, int],
) -> Decided:
    before = _part_of(original, original.returned_milli)
    returned = dict(original.returned_milli)
    for number, quantity_milli in back.items():
        returned[number] = returned.get(number, 0) + quantity_milli
    after = _part_of(original, returned) if original.lines else original.whole
    part = Part(*(now - was for now, was in zip(after, before, strict=True)))
    wallet = copy.deepcopy(member.wallet)
    restored = list(_revived(program, _last(original.drawn, before.redeemed_points, part.redeemed_points)))
    had_undated = wallet.lots[None] > 0
    wallet.give(restored)
    shortfall = _claw_back(program, wallet, original, part.earned_points)
    if not wallet.lots[None]:
        wallet.sliding_until_us = None
    elif not had_undated:
        # Time does not pass while the model is asked: the sale that spent them was today.
        wallet.slide(slides_until_us(program, now_us()))
    taken, given = part.earned_points - shortfall, sum(piece.points for piece in restored)
    shortfall_minor = 0
    if _policy(program) == "reduce_refund":
        shortfall_minor = min(math.floor(shortfall * point_minor(program)), part.paid_minor)
    fields: dict[str, object] = {
        "earned_points": given,
        "redeemed_points": taken,
        "redeemed_minor": part.redeemed_minor,
        "discount_minor": part.discount_minor,
        "shortfall_points": shortfall,
        "shortfall_minor": shortfall_minor,
        "refund_minor": part.paid_minor - shortfall_minor,
        "original_idempotency_key": request.original_idempotency_key,
        "applied_rules": [Rule("returns", given - taken)],
    }
    counted = (-part.earned_points * original.counts, -part.paid_minor * original.counts_money)
    sold = original.sold and original.sold.undone(taken, given)
    return Decided(fields, wallet, Done("REVERSE", returned_milli=dict(back)), counted, sold)


def _part_of(original: Done, returned_milli: Mapping[int, int]) -> Part:
    """What belongs to so much of each line: every figure rounded down, and what was paid with money, too."""
    parts = [_share(original.lines[number - 1], milli) for number, milli in returned_milli.items()]
    return Part(*map(sum, zip(NOTHING, *parts, strict=True)))


def _share(line: SoldLine, quantity_milli: int) -> Part:
    share = Fraction(quantity_milli, line.quantity_milli)
    earned, redeemed, by_points, discount, _ = (math.floor(figure * share) for figure in line.part)
    paid_minor = math.floor(line.part.paid_minor * share)
    return Part(earned, redeemed, by_points, discount, by_points + discount + paid_minor)


def _last(slices: Sequence[Slice], skipped: int, points: int) -> Iterator[Slice]:
    """So many points, the last drawn first, after those that have come back before."""
    for expires_at_us, there in reversed(slices):
        passed = min(there, skipped)
        taken = min(there - passed, points)
        skipped -= passed
        points -= taken
        if taken:
            yield Slice(expires_at_us, taken)


def _revived(program: ProgramDocument, slices: Iterator[Slice]) -> Iterator[Slice]:
    """What has expired meanwhile lives a little longer, or is lost."""
    now = now_us()
    for piece in slices:
        if piece.expires_at_us is None or piece.expires_at_us > now:
            yield piece
        elif grace := grace_until_us(program, now):
            yield Slice(grace, piece.points)


def _policy(program: ProgramDocument) -> str:
    return program.get("returns", {}).get("shortfall", "stop_at_zero")


def _claw_back(program: ProgramDocument, wallet: Wallet, original: Done, points: int) -> int:
    """Take points from the lots that they went to, then from any; returns those that could not be taken."""
    is_pending_only = _policy(program) == "pending_only"
    for active_at_us, expires_at_us, added in original.added:
        left = min(points, added)
        if active_at_us is not None:
            taken = min(left, wallet.pending[active_at_us, expires_at_us])
            wallet.pending[active_at_us, expires_at_us] -= taken
            left, points = left - taken, points - taken
        if expires_at_us is not None and not is_pending_only:
            taken = min(left, wallet.lots[expires_at_us])
            wallet.lots[expires_at_us] -= taken
            points -= taken
    if _policy(program) == "allow_negative":
        wallet.spend(points)
        return 0
    there = 0 if is_pending_only else max(wallet.available_points, 0)
    wallet.spend(min(points, there))
    return points - min(points, there)
