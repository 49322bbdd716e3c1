"""From wants to requests: one client's calls, each under a key of its own, and those it made before."""

import itertools
import time
from collections.abc import Iterator, Sequence
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
from loyalty.v1.operation_pb2 import AdjustmentReason, LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    AdjustRequest,
    CaptureRequest,
    CheckoutRequest,
    HoldRequest,
    OperationRequest,
    QuoteRequest,
    RedeemRequest,
    ReturnedLine,
    ReturnRequest,
    ReverseRequest,
    VoidRequest,
)
from tests.acceptance.intents import (
    LONG_AGO,
    OUT_OF_WINDOW,
    Adjust,
    AtDesk,
    Change,
    FollowUp,
    Hold,
    Intent,
    Invalid,
    New,
    Repeat,
    Sale,
    Who,
)
from tests.acceptance.reckoning.desk import DeskRequest
from tests.client import FollowUp as FollowUpRequest
from tests.client import Sale as SaleRequest
from tests.client import Write, operation_request, write_of

_SALES: Final[dict[str, type[SaleRequest]]] = {
    "accrue": AccrueRequest,
    "redeem": RedeemRequest,
    "checkout": CheckoutRequest,
}
_FOLLOW_UPS: Final[dict[str, type[FollowUpRequest]]] = {
    "capture": CaptureRequest,
    "void": VoidRequest,
    "reverse": ReverseRequest,
    "return": ReturnRequest,
}
_AT_DESK: Final[dict[str, type[DeskRequest]]] = {
    "enrol": EnrolMemberRequest,
    "get": GetMemberRequest,
    "block": BlockCardRequest,
    "unblock": UnblockCardRequest,
}
_UNDOABLE: Final = ("accrue", "redeem", "checkout", "capture", "adjust")
_SUITABLE: Final = {"capture": ("hold",), "void": ("hold",), "reverse": _UNDOABLE, "return": _UNDOABLE}
# SKU, category and brand.
_GOODS: Final = (
    ("sku-0", "wine", "acme"),
    ("sku-1", "food", ""),
    ("sku-2", "tobacco", "zenith"),
    ("mug", "", "acme"),
    ("van", "delivery", ""),
)


class Composer:
    """`member_ids` are those of the client; `past` are its calls so far."""

    def __init__(self, name: str, member_ids: Sequence[int]) -> None:
        self.member_ids = member_ids
        self.past: list[OperationRequest] = []
        self._name = name
        self._keys = (f"{name}-{number}" for number in itertools.count(1))

    def resolve(self, wants: Sequence[Intent]) -> list[OperationRequest]:
        """The requests of these wants; wants that refer to a call that was never made give none."""
        return [request for want in wants for request in self._resolve_one(want)]

    def named(self, who: Who) -> dict[str, object]:
        """The field that names a member."""
        return names_of(self.member_ids[who.member])[who.name]

    def quote(self, want: Sale) -> QuoteRequest:
        request: Any = write_of(self._new(want))
        fields = {field.name: value for field, value in request.ListFields()}
        for name in ("idempotency_key", "occurred_at"):
            del fields[name]
        return QuoteRequest(**fields)

    def at_desk(self, want: AtDesk) -> DeskRequest:
        named: dict[str, Any] = self.named(want.who)
        match want.call:
            case "add" | "replace":
                new_card = str(self.named(Who(want.new, "spare card"))["card"])
                request = AddCardRequest if want.call == "add" else ReplaceCardRequest
                return request(**named, new_card=new_card)
        return _AT_DESK[want.call](**named)

    def _resolve_one(self, want: Intent) -> Iterator[OperationRequest]:
        match want:
            case FollowUp():
                yield from self._follow_up(want)
            case Sale() | Hold() | Adjust():
                yield self._keep(self._new(want))
            case _ if want.target < len(self.past):
                yield self._again(self.past[-1 - want.target], want)

    def _keep(self, call: OperationRequest) -> OperationRequest:
        self.past.append(call)
        return call

    def _new(self, want: New) -> OperationRequest:
        match want:
            case Sale():
                return self._sale(want)
            case Hold():
                basic = {**self._basic(want), **self._place(want.who)}
                hold = HoldRequest(**basic, points=want.points, hold_seconds=want.hold_seconds)
                return operation_request(hold)
        reason = AdjustmentReason.values()[want.reason]
        return operation_request(AdjustRequest(**self._basic(want), points=want.points, reason=reason))

    def _sale(self, want: Sale) -> OperationRequest:
        fields: dict[str, Any] = {"receipt": _receipt(want.total_minor, want.cuts)}
        if want.kind != "accrue":
            # A redemption of nothing is none.
            least = 1 if want.kind == "redeem" and not want.rewards else 0
            fields |= {"redeem_points": max(want.redeem_points, least), "reward_ids": want.rewards}
        request = _SALES[want.kind](**self._basic(want), **self._place(want.who), **fields)
        call = operation_request(request)
        call.offline = want.is_offline
        return call

    def _basic(self, want: New) -> dict[str, Any]:
        occurred_at = ago(want.age_seconds)
        return {**self.named(want.who), "idempotency_key": next(self._keys), "occurred_at": occurred_at}

    def _place(self, who: Who) -> dict[str, Any]:
        """Each member has a store: what several members do there at once has no order that can be known."""
        return {
            "store_id": f"store-{self._name}-{who.member}",
            "terminal_id": "till-1" if who.member != 1 else "",
        }

    def _follow_up(self, want: FollowUp) -> Iterator[OperationRequest]:
        suitable = [
            call for call in self.past if want.is_astray or call.WhichOneof("request") in _SUITABLE[want.kind]
        ]
        if not suitable:
            return
        original: Any = write_of(suitable[-1 - want.target % len(suitable)])
        member = original.WhichOneof("member")
        named = {"member_id": self.member_ids[0]} if want.is_astray else {member: getattr(original, member)}
        fields: dict[str, Any] = {
            **named,
            "idempotency_key": next(self._keys),
            "occurred_at": ago(want.age_seconds),
            "store_id": f"store-{self._name}",
            "original_idempotency_key": original.idempotency_key,
        }
        if want.kind == "capture":
            fields["points"] = want.points
        if want.kind == "return":
            fields["lines"] = [
                ReturnedLine(line_number=line, quantity_milli=much) for line, much in want.back
            ]
        yield self._keep(operation_request(_FOLLOW_UPS[want.kind](**fields)))

    def _again(self, past: OperationRequest, want: Repeat | Change | Invalid) -> OperationRequest:
        match want:
            case Change(_, field):
                return changed(past, field, self.member_ids[0])
            case Invalid():
                is_adjust = past.WhichOneof("request") == "adjust"
                return _copy(past, **({"reason": 0} if is_adjust else {"store_id": ""}))
        return past


def names_of(member_id: int) -> dict[str, dict[str, object]]:
    """The fields by which a member can be named."""
    return {
        "member_id": {"member_id": member_id},
        "card": {"card": f"card-{member_id}"},
        "phone": {"phone": f"+49{member_id}"},
        "blocked card": {"card": f"blocked-{member_id}"},
        "replaced card": {"card": f"replaced-{member_id}"},
        # Nobody's, until it is given to somebody or used first.
        "spare card": {"card": f"spare-{member_id}"},
    }


def changed(past: OperationRequest, field: str, member_id: int) -> OperationRequest:
    """The same call, still valid, with another value in one field, if it has that field."""
    request: Any = write_of(past)
    if field == "kind":
        return _as_another_kind(past)
    if field == "offline":
        offline = not past.offline and isinstance(request, SaleRequest)
        call = operation_request(request)
        call.offline = offline
        return call
    others: dict[str, dict[str, Any]] = {
        "member": {"member_id": member_id},
        "card": {"card": f"card-{member_id}"},
        "occurred_at": {"occurred_at": _later(request.occurred_at, 1_000)},
        "another month": {"occurred_at": ago(LONG_AGO[0])},
        "out of window": {"occurred_at": ago(OUT_OF_WINDOW[0])},
        "store_id": {"store_id": "another"},
        "terminal_id": {"terminal_id": "another"},
        "redeem_points": {"redeem_points": getattr(request, "redeem_points", 0) % 1_000_000_000_000 + 1},
        "reward_ids": {"reward_ids": ["ten", *getattr(request, "reward_ids", ())][:1]},
        "points": {"points": getattr(request, "points", 0) % 1_000 + 1},
        "original": {"original_idempotency_key": "another"},
    }
    if field in others:
        known = request.DESCRIPTOR.fields_by_name
        return _copy(past, **{name: value for name, value in others[field].items() if name in known})
    if not isinstance(request, SaleRequest):
        return past
    return _copy(past, receipt=_changed_receipt(request.receipt, field))


def _changed_receipt(past: Receipt, field: str) -> Receipt:
    receipt = Receipt()
    receipt.CopyFrom(past)
    match field:
        case "receipt_id":
            receipt.receipt_id += "-another"
        case "total_minor" if not receipt.lines:
            receipt.total_minor = receipt.total_minor % 100_000_000_000 + 1
        case "lines" if receipt.lines:
            receipt.lines[0].sku += "-another"
        case "spelled out" if receipt.lines:
            # Unset means the same, so this is no change.
            receipt.lines[0].quantity_milli = 1_000
    return receipt


def _as_another_kind(past: OperationRequest) -> OperationRequest:
    request: Any = write_of(past)
    fields = {field.name: value for field, value in request.ListFields()}
    for name in ("redeem_points", "reward_ids", "quote_token", "points", "hold_seconds", "lines"):
        fields.pop(name, None)
    match request:
        case AdjustRequest():
            return past
        case AccrueRequest():
            other: Write = RedeemRequest(**fields, redeem_points=1)
        case RedeemRequest() | CheckoutRequest():
            other = AccrueRequest(**fields)
        case HoldRequest():
            other = HoldRequest(**fields, points=1_000_000)
        case CaptureRequest() | ReverseRequest() | ReturnRequest():
            other = VoidRequest(**fields)
        case _:
            other = CaptureRequest(**fields)
    call = operation_request(other)
    call.offline = past.offline
    return call


def _copy(past: OperationRequest, **fields: object) -> OperationRequest:
    """A copy with other values; those that name a member take each other's place."""
    request = write_of(past)
    kept = {field.name: value for field, value in request.ListFields()}
    if {"member_id", "card"} & fields.keys():
        for name in ("member_id", "card", "phone"):
            kept.pop(name, None)
    call = operation_request(type(request)(**{**kept, **fields}))
    call.offline = past.offline
    return call


def _receipt(total_minor: int, cuts: Sequence[int]) -> Receipt:
    """Lines between the cuts, in thousandths of the total; none without cuts."""
    edges = [0, *sorted(total_minor * cut // 1_000 for cut in cuts), total_minor]
    lines = [
        _line(number, end - start, _GOODS[(number + total_minor) % len(_GOODS)])
        for number, (start, end) in enumerate(itertools.pairwise(edges))
    ]
    return Receipt(receipt_id="receipt-1", total_minor=total_minor, lines=lines if cuts else [])


def _line(number: int, amount_minor: int, goods: tuple[str, str, str]) -> LineItem:
    sku, category, brand = goods
    quantity_milli = number * 500
    return LineItem(
        sku=sku, quantity_milli=quantity_milli, amount_minor=amount_minor, category=category, brand=brand
    )


def ago(seconds: int) -> Timestamp:
    moment = Timestamp()
    moment.FromMicroseconds(time.time_ns() // 1_000 - seconds * 1_000_000)
    return moment


def _later(moment: Timestamp, nanoseconds: int) -> Timestamp:
    later = Timestamp()
    later.FromNanoseconds(moment.ToNanoseconds() + nanoseconds)
    return later
