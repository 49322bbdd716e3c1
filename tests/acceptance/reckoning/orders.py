"""Points for an order: Hold, Capture, Void."""

import copy
import math
from collections.abc import Sequence
from typing import Final

from loyalty.v1.transaction_service_pb2 import CaptureRequest, HoldRequest, VoidRequest
from processor.domain.program_document import ProgramDocument
from tests.acceptance.reckoning.arithmetic import SECOND_US
from tests.acceptance.reckoning.calendar import slides_until_us
from tests.acceptance.reckoning.limits import Limits, counts, now_us, ordered_now
from tests.acceptance.reckoning.member import Decided, Done, Member, Part
from tests.acceptance.reckoning.replies import AfterRecord, Refused, Rule
from tests.acceptance.reckoning.sale import insufficient, point_minor
from tests.acceptance.reckoning.wallet import Hold, Slice, Wallet

_DEFAULT_SECONDS: Final = 86_400
_MAXIMUM_SECONDS: Final = 30 * 86_400
_OPEN_MAX: Final = 10
# What is answered of a hold that was ended so.
_ENDS: Final = {"CAPTURE": "HOLD_CAPTURED", "VOID": "HOLD_VOID", "": "HOLD_EXPIRED"}


def hold(program: ProgramDocument, member: Member, request: HoldRequest, limits: Limits) -> Decided:
    """Raises Refused."""
    rules = program.get("holds", {})
    minimum = program["redemption"]["minimum_points"] if "redemption" in program else 1
    if request.points < minimum:
        raise Refused("REDEMPTION_BELOW_MINIMUM", minimum_points=minimum, redeem_points=request.points)
    most = _most(program, member, limits)
    if request.points > most:
        raise Refused("REDEMPTION_ABOVE_LIMIT", limit_points=most, redeem_points=request.points)
    if request.points > member.wallet.available_points:
        raise insufficient(member, request.points)
    open_max = rules.get("open_max", _OPEN_MAX)
    if len(member.wallet.holds) >= open_max:
        raise Refused("TOO_MANY_HOLDS", open_max=open_max)
    wanted = ordered_now(program, member, request, request.points)
    flags = limits.check(program, wanted, held_points=member.wallet.held_points)
    asked = request.hold_seconds or rules.get("default_seconds", _DEFAULT_SECONDS)
    seconds = min(asked, rules.get("maximum_seconds", _MAXIMUM_SECONDS))
    wallet = copy.deepcopy(member.wallet)
    slices = wallet.spend(request.points)
    wallet.holds[request.idempotency_key] = Hold(now_us() + seconds * SECOND_US, slices)
    fields: dict[str, object] = {
        "redeemed_minor": math.floor(request.points * point_minor(program)),
        "hold_expires_at": AfterRecord(seconds),
        "applied_rules": [Rule("holds")],
        "flags": flags,
    }
    # Its points count when they are captured.
    ordered = wanted._replace(redeemed_points=0)
    return Decided(fields, wallet, Done("HOLD"), sold=ordered if counts(program) else None)


def _most(program: ProgramDocument, member: Member, limits: Limits) -> float:
    """What a receipt and a day allow, if anything does; what is held already counts for today."""
    if "redemption" not in program:
        return 0
    redemption = program["redemption"]
    used = limits.redeemed_today(program) + member.wallet.held_points
    return min(
        redemption.get("maximum_points_per_receipt", math.inf),
        max(redemption.get("maximum_points_per_day", math.inf) - used, 0),
    )


def capture(program: ProgramDocument, member: Member, request: CaptureRequest, limits: Limits) -> Decided:
    """Spend held points, those that expire soonest first; the rest comes back. Raises Refused."""
    wallet, held = _end_hold(member, request)
    points = request.points or held.points
    if points > held.points:
        raise Refused("CAPTURE_ABOVE_HOLD", held_points=held.points, points=points)
    drawn, left = _cut(held.slices, points)
    wallet.give(left)
    wallet.slide(slides_until_us(program, now_us()))
    value_minor = math.floor(points * point_minor(program))
    captured = ordered_now(program, member, request, points)
    fields: dict[str, object] = {
        "redeemed_points": points,
        "redeemed_minor": value_minor,
        "original_idempotency_key": request.original_idempotency_key,
        "applied_rules": [Rule("redemption", -points, value_minor)],
        "flags": limits.check(program, captured, refuses=False),
    }
    whole = Part(redeemed_points=points, redeemed_minor=value_minor, total_minor=value_minor)
    done = Done("CAPTURE", whole=whole, drawn=drawn)
    return Decided(fields, wallet, done, sold=captured if counts(program) else None)


def void(program: ProgramDocument, member: Member, request: VoidRequest) -> Decided:
    """Raises Refused."""
    wallet, held = _end_hold(member, request)
    wallet.give(held.slices)
    wallet.slide(slides_until_us(program, now_us()))
    fields: dict[str, object] = {
        "original_idempotency_key": request.original_idempotency_key,
        "applied_rules": [Rule("holds")],
    }
    return Decided(fields, wallet, Done("VOID"))


def _end_hold(member: Member, request: CaptureRequest | VoidRequest) -> tuple[Wallet, Hold]:
    """The wallet without the hold, and the hold. Raises Refused."""
    key = request.original_idempotency_key
    done = member.done.get(key)
    if done is None or done.kind != "HOLD" or not done.is_applied:
        raise Refused("ORIGINAL_NOT_FOUND", original_key=key)
    if key not in member.wallet.holds:
        raise Refused(_ENDS[done.followed_by], original_key=key)
    wallet = copy.deepcopy(member.wallet)
    return wallet, wallet.holds.pop(key)


def _cut(slices: Sequence[Slice], points: int) -> tuple[list[Slice], list[Slice]]:
    """The first of the slices, and the rest of them."""
    first, rest = [], []
    for expires_at_us, there in slices:
        taken = min(there, points)
        points -= taken
        first.append(Slice(expires_at_us, taken))
        rest.append(Slice(expires_at_us, there - taken))
    return [piece for piece in first if piece.points], [piece for piece in rest if piece.points]
