"""What the operator gives and takes: Adjust."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from loyalty.v1.operation_pb2 import AdjustmentReason
from loyalty.v1.transaction_service_pb2 import AdjustRequest
from processor.domain.command import NO_RECEIPT, Command, Kind
from processor.domain.limits import REDEEM_POINTS_MAX
from processor.rpc.convert.fields import read_key, read_member, read_time, refuse_if_any
from processor.rpc.status import Violation
from processor.rpc.validate import within

_PREFIX: Final = "ADJUSTMENT_REASON_"
# By the numbers of the contract, and the other way round.
REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {number: name.removeprefix(_PREFIX) for name, number in AdjustmentReason.items() if number}
)
REASON_NUMBERS: Final[Mapping[str, int]] = MappingProxyType(
    {name: number for number, name in REASONS.items()}
)


def adjust_command(request: AdjustRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    idempotency_key = read_key(found, request.idempotency_key)
    member_id, card = read_member(found, request)
    command = Command(
        Kind.ADJUST,
        idempotency_key,
        member_id,
        card,
        read_time(found, request),
        "",
        "",
        NO_RECEIPT,
        0,
        points=_read_points(found, request.points),
        reason=_read_reason(found, request.reason),
    )
    refuse_if_any(found)
    return command


def _read_points(found: list[Violation], points: int) -> int:
    if not points:
        found.append(Violation("points", "must not be 0"))
    return within(found, "points", points, -REDEEM_POINTS_MAX, REDEEM_POINTS_MAX)


def _read_reason(found: list[Violation], number: int) -> str:
    if number not in REASONS:
        known = f"must be one of {', '.join(REASONS.values())}, not {number}"
        found.append(Violation("reason", known if number else "is required"))
    return REASONS.get(number, "")
