"""What many requests have in common: the key, the member, the time, the place."""

from collections.abc import Sequence
from typing import Final

from loyalty.v1.member_service_pb2 import AddCardRequest, GetMemberRequest
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    AdjustRequest,
    CaptureRequest,
    CheckoutRequest,
    GetBalanceRequest,
    HoldRequest,
    ListOperationsRequest,
    QuoteRequest,
    RedeemRequest,
    ReturnRequest,
    ReverseRequest,
    VoidRequest,
)
from processor.domain.command import NO_RECEIPT, SYSTEM_KEY_PREFIX, Command, Kind
from processor.domain.limits import MEMBER_ID_MAX
from processor.domain.outcomes import Outcome
from processor.rpc.status import Refused, Violation
from processor.rpc.validate import identifier, optional_identifier, phone_number, within

SaleRequest = AccrueRequest | RedeemRequest | CheckoutRequest
FollowUpRequest = CaptureRequest | VoidRequest | ReverseRequest | ReturnRequest
WriteRequest = SaleRequest | HoldRequest | FollowUpRequest | AdjustRequest
ReadRequest = QuoteRequest | GetBalanceRequest | ListOperationsRequest | GetMemberRequest | AddCardRequest

_SECONDS_OF_2000: Final = 946_684_800
_SECONDS_OF_2101: Final = 4_133_980_800


def refuse_if_any(found: Sequence[Violation]) -> None:
    """Raises Refused with what was found, if anything."""
    if found:
        raise Refused(Outcome.INVALID_REQUEST, violations=found)


def read_key(found: list[Violation], key: str) -> str:
    """The idempotency key of a write."""
    if key.startswith(SYSTEM_KEY_PREFIX):
        found.append(Violation("idempotency_key", f"must not begin with {SYSTEM_KEY_PREFIX}"))
    return identifier(found, "idempotency_key", key)


def read_member(found: list[Violation], request: WriteRequest | ReadRequest) -> tuple[int, str]:
    """(member_id, card) of which one is given, else 0 or "". A phone number is a card."""
    if 1 <= (member_id := request.member_id) <= MEMBER_ID_MAX:
        return member_id, ""
    match request.WhichOneof("member"):
        case "member_id":
            return within(found, "member_id", member_id, 1, MEMBER_ID_MAX), ""
        case "card":
            return 0, identifier(found, "card", request.card)
        case "phone":
            return 0, phone_number(found, "phone", request.phone)
    found.append(Violation("member", "is required: set member_id, card or phone"))
    return 0, ""


def read_time(found: list[Violation], request: WriteRequest) -> int:
    """Microseconds since the Unix epoch."""
    occurred_at = request.occurred_at
    seconds, nanos = occurred_at.seconds, occurred_at.nanos
    if not (_SECONDS_OF_2000 <= seconds < _SECONDS_OF_2101 and 0 <= nanos < 1_000_000_000):
        found.append(Violation("occurred_at", _time_problem(request, seconds, nanos)))
    return seconds * 1_000_000 + nanos // 1_000


def _time_problem(request: WriteRequest, seconds: int, nanos: int) -> str:
    if not request.HasField("occurred_at"):
        return "is required"
    if not _SECONDS_OF_2000 <= seconds < _SECONDS_OF_2101:
        return f"must lie in the years 2000 to 2100, not at {seconds} seconds"
    return f"must have nanos of 0 to 999999999, not {nanos}"


def read_without_receipt(
    found: list[Violation], kind: Kind, request: HoldRequest | FollowUpRequest
) -> Command:
    """A command that has no receipt, as far as all of those are alike."""
    idempotency_key = read_key(found, request.idempotency_key)
    member_id, card = read_member(found, request)
    return Command(
        kind,
        idempotency_key,
        member_id,
        card,
        read_time(found, request),
        identifier(found, "store_id", request.store_id),
        optional_identifier(found, "terminal_id", request.terminal_id),
        NO_RECEIPT,
        0,
    )


def read_follow_up(found: list[Violation], kind: Kind, request: FollowUpRequest) -> Command:
    """The same for what refers to an earlier operation."""
    command = read_without_receipt(found, kind, request)
    original_key = identifier(found, "original_idempotency_key", request.original_idempotency_key)
    return command._replace(original_key=original_key)
