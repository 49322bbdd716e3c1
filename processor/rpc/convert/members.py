"""What members are known by: the requests of MemberService."""

from loyalty.v1.member_service_pb2 import (
    AddCardRequest,
    BlockCardRequest,
    EnrolMemberRequest,
    ReplaceCardRequest,
    UnblockCardRequest,
)
from processor.rpc.status import Violation
from processor.rpc.validate import identifier, phone_number

CardRequest = EnrolMemberRequest | ReplaceCardRequest | BlockCardRequest | UnblockCardRequest


def read_card(found: list[Violation], request: CardRequest) -> str:
    """The text of the card or phone that a request is about."""
    match request.WhichOneof("identifier"):
        case "card":
            return identifier(found, "card", request.card)
        case "phone":
            return phone_number(found, "phone", request.phone)
    found.append(Violation("identifier", "is required: set card or phone"))
    return ""


def read_new_card(found: list[Violation], request: AddCardRequest | ReplaceCardRequest) -> str:
    """The text of the card or phone that is added."""
    match request.WhichOneof("added"):
        case "new_card":
            return identifier(found, "new_card", request.new_card)
        case "new_phone":
            return phone_number(found, "new_phone", request.new_phone)
    found.append(Violation("added", "is required: set new_card or new_phone"))
    return ""


def read_replacement(found: list[Violation], request: ReplaceCardRequest) -> tuple[str, str]:
    """(old, new) of a card that is replaced."""
    old, new = read_card(found, request), read_new_card(found, request)
    if old == new and not found:
        field = request.WhichOneof("added")
        found.append(Violation(field or "added", "must not be what it replaces"))
    return old, new
