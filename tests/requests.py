"""Requests as tills send them, valid unless a test says otherwise."""

import time
import uuid
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1.operation_pb2 import ADJUSTMENT_REASON_SURVEY, Receipt
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    AdjustRequest,
    CaptureRequest,
    CheckoutRequest,
    HoldRequest,
    RedeemRequest,
    ReturnedLine,
    ReturnRequest,
    ReverseRequest,
    VoidRequest,
)

Write = AccrueRequest | RedeemRequest | CheckoutRequest
W = TypeVar(
    "W",
    AccrueRequest,
    RedeemRequest,
    CheckoutRequest,
    HoldRequest,
    CaptureRequest,
    VoidRequest,
    ReverseRequest,
    ReturnRequest,
)

DAY_SECONDS = 86_400


def accrue(member_id: int, total_minor: int = 10_000, **fields: Any) -> AccrueRequest:
    """With the default program a point for each 10,000."""
    return _write(AccrueRequest, member_id, total_minor, **fields)


def redeem(member_id: int, redeem_points: int, total_minor: int = 1_000_000, **fields: Any) -> RedeemRequest:
    return _write(RedeemRequest, member_id, total_minor, redeem_points=redeem_points, **fields)


def checkout(
    member_id: int, redeem_points: int, total_minor: int = 1_000_000, **fields: Any
) -> CheckoutRequest:
    return _write(CheckoutRequest, member_id, total_minor, redeem_points=redeem_points, **fields)


def hold(member_id: int, points: int, **fields: Any) -> HoldRequest:
    return _request(HoldRequest, member_id, points=points, **fields)


def capture(member_id: int, original_key: str, points: int = 0, **fields: Any) -> CaptureRequest:
    return _request(CaptureRequest, member_id, original_idempotency_key=original_key, points=points, **fields)


def void(member_id: int, original_key: str, **fields: Any) -> VoidRequest:
    return _request(VoidRequest, member_id, original_idempotency_key=original_key, **fields)


def reverse(member_id: int, original_key: str, **fields: Any) -> ReverseRequest:
    return _request(ReverseRequest, member_id, original_idempotency_key=original_key, **fields)


def adjust(member_id: int, points: int, **fields: Any) -> AdjustRequest:
    """By the operator, for the answers to a survey; points below zero are taken."""
    given = {"idempotency_key": uuid.uuid4().hex, "occurred_at": ago(0), **fields}
    return AdjustRequest(member_id=member_id, points=points, reason=ADJUSTMENT_REASON_SURVEY, **given)


def bring_back(
    member_id: int, original_key: str, quantity_milli: int, line_number: int = 1, **fields: Any
) -> ReturnRequest:
    """A Return of one line."""
    line = ReturnedLine(line_number=line_number, quantity_milli=quantity_milli)
    return _request(ReturnRequest, member_id, original_idempotency_key=original_key, lines=[line], **fields)


def _write(request_type: type[W], member_id: int, total_minor: int, **fields: Any) -> W:
    receipt = Receipt(receipt_id="receipt-1", total_minor=total_minor)
    return _request(request_type, member_id, **{"receipt": receipt, **fields})


def _request(request_type: type[W], member_id: int, **fields: Any) -> W:
    given = {
        "member_id": member_id,
        "idempotency_key": uuid.uuid4().hex,
        "occurred_at": ago(0),
        "store_id": "store-1",
        "terminal_id": "till-1",
        **fields,
    }
    if "card" in fields or "phone" in fields:
        del given["member_id"]
    return request_type(**given)


def ago(seconds: float) -> Timestamp:
    moment = Timestamp()
    moment.FromMicroseconds(time.time_ns() // 1_000 - round(seconds * 1_000_000))
    return moment
