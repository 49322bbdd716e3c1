"""Points that the operator gives or takes: Adjust."""

import copy

from loyalty.v1.transaction_service_pb2 import AdjustRequest
from processor.domain.program_document import ProgramDocument
from tests.acceptance.reckoning.calendar import expires_at_us, slides_until_us
from tests.acceptance.reckoning.limits import now_us
from tests.acceptance.reckoning.member import Decided, Done, Member, Part
from tests.acceptance.reckoning.replies import Rule
from tests.acceptance.reckoning.sale import insufficient


def adjust(program: ProgramDocument, member: Member, request: AdjustRequest) -> Decided:
    """Given points can be spent at once. Raises Refused."""
    fields: dict[str, object] = {
        "reason": request.reason,
        "applied_rules": [Rule("adjustment", request.points)],
    }
    wallet = copy.deepcopy(member.wallet)
    if request.points > 0:
        added = wallet.earn(request.points, None, expires_at_us(program, now_us()))
        wallet.sliding_until_us = slides_until_us(program, now_us()) or wallet.sliding_until_us
        done = Done("ADJUST", whole=Part(earned_points=request.points), added=added)
        return Decided({**fields, "earned_points": request.points}, wallet, done)
    taken = -request.points
    if taken > wallet.available_points:
        raise insufficient(member, taken)
    done = Done("ADJUST", whole=Part(redeemed_points=taken), drawn=wallet.spend(taken))
    return Decided({**fields, "redeemed_points": taken}, wallet, done)
