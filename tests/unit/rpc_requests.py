"""Requests of every kind in which every field is set and valid."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1.member_service_pb2 import (
    AddCardRequest,
    BlockCardRequest,
    EnrolMemberRequest,
    GetMemberRequest,
    ReplaceCardRequest,
    UnblockCardRequest,
)
from loyalty.v1.operation_pb2 import ADJUSTMENT_REASON_SURVEY, LineItem, Receipt
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
    ReturnedLine,
    ReturnRequest,
    ReverseRequest,
    VoidRequest,
)

OCCURRED_AT: Final = Timestamp(seconds=1_760_000_000, nanos=123_456_789)
_PLACE: Final[Mapping[str, Any]] = {"store_id": "store-1", "terminal_id": "till-2"}


def _receipt() -> Receipt:
    lines = [
        LineItem(sku="milk", quantity_milli=2000, amount_minor=700, category="dairy", brand="acme"),
        LineItem(sku="bread", amount_minor=300),
    ]
    return Receipt(receipt_id="r-1", total_minor=1000, lines=lines)


def _head(key: str) -> Mapping[str, Any]:
    return {"idempotency_key": key, "member_id": 1, "occurred_at": OCCURRED_AT}


def accrue_request(key: str = "k-1") -> AccrueRequest:
    return AccrueRequest(**_head(key), **_PLACE, receipt=_receipt())


def redeem_request(key: str = "k-2") -> RedeemRequest:
    return RedeemRequest(**_head(key), **_PLACE, receipt=_receipt(), redeem_points=5)


def checkout_request(key: str = "k-3") -> CheckoutRequest:
    return CheckoutRequest(**_head(key), **_PLACE, receipt=_receipt(), redeem_points=5)


def hold_request(key: str = "k-4") -> HoldRequest:
    return HoldRequest(**_head(key), **_PLACE, points=40, hold_seconds=3600)


def capture_request(key: str = "k-5") -> CaptureRequest:
    return CaptureRequest(**_head(key), **_PLACE, original_idempotency_key="k-4", points=30)


def void_request(key: str = "k-6") -> VoidRequest:
    return VoidRequest(**_head(key), **_PLACE, original_idempotency_key="k-4")


def reverse_request(key: str = "k-7") -> ReverseRequest:
    return ReverseRequest(**_head(key), **_PLACE, original_idempotency_key="k-3")


def return_request(key: str = "k-8") -> ReturnRequest:
    lines = [
        ReturnedLine(line_number=1, quantity_milli=1000),
        ReturnedLine(line_number=500, quantity_milli=1),
    ]
    return ReturnRequest(**_head(key), **_PLACE, original_idempotency_key="k-3", lines=lines)


def adjust_request(key: str = "k-9") -> AdjustRequest:
    return AdjustRequest(**_head(key), points=-20, reason=ADJUSTMENT_REASON_SURVEY)


def quote_request() -> QuoteRequest:
    return QuoteRequest(member_id=1, **_PLACE, receipt=_receipt(), redeem_points=0)


WRITES: Final[Mapping[str, Callable[[], Any]]] = {
    "Accrue": accrue_request,
    "Redeem": redeem_request,
    "Checkout": checkout_request,
    "Hold": hold_request,
    "Capture": capture_request,
    "Void": void_request,
    "Reverse": reverse_request,
    "Return": return_request,
    "Adjust": adjust_request,
}
READS: Final[Mapping[str, Callable[[], Any]]] = {
    "Quote": quote_request,
    "GetBalance": lambda: GetBalanceRequest(member_id=1),
    "ListOperations": lambda: ListOperationsRequest(member_id=1),
}
MEMBERS: Final[Mapping[str, Callable[[], Any]]] = {
    "EnrolMember": lambda: EnrolMemberRequest(card="c-1"),
    "GetMember": lambda: GetMemberRequest(member_id=1),
    "AddCard": lambda: AddCardRequest(member_id=1, new_card="c-2"),
    "ReplaceCard": lambda: ReplaceCardRequest(card="c-1", new_card="c-2"),
    "BlockCard": lambda: BlockCardRequest(card="c-1"),
    "UnblockCard": lambda: UnblockCardRequest(card="c-1"),
}
