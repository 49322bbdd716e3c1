"""A request as the model reads it, and what makes two requests the same."""

from typing import Any, Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import CheckoutRequest, OperationRequest, QuoteRequest
from tests.client import write_of

PIECE_MILLI: Final = 1_000
# The kinds by the fields of OperationRequest.
_KINDS: Final = {"return_goods": "RETURN"}


class Line(NamedTuple):
    sku: str
    quantity_milli: int
    amount_minor: int
    category: str
    brand: str


class Ask(NamedTuple):
    """A sale, or the quote of one."""

    kind: str
    card: str
    store: str
    terminal: str
    lines: list[Line]
    has_lines: bool
    redeem_points: int
    rewards: list[str]
    is_offline: bool
    # Why the card could not be used now.
    barred_for: str = ""

    @property
    def total_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines)

    @property
    def is_spending(self) -> bool:
        return bool(self.redeem_points or self.rewards)


def kind_of(call: OperationRequest) -> str:
    name = call.WhichOneof("request")
    assert name
    return _KINDS.get(name, name.upper())


def sale_of(call: OperationRequest) -> Ask:
    return _ask(kind_of(call), write_of(call), is_offline=call.offline)


def quoted_sale(request: QuoteRequest | CheckoutRequest) -> Ask:
    """The checkout that is quoted, or was."""
    return _ask("CHECKOUT", request, is_offline=False)


def _ask(kind: str, request: Any, *, is_offline: bool) -> Ask:
    receipt: Receipt = request.receipt
    lines = [_line(line) for line in receipt.lines]
    return Ask(
        kind,
        card_of(request),
        request.store_id,
        request.terminal_id,
        lines or [Line("", PIECE_MILLI, receipt.total_minor, "", "")],
        bool(lines),
        getattr(request, "redeem_points", 0),
        list(getattr(request, "reward_ids", ())),
        is_offline,
    )


def _line(line: LineItem) -> Line:
    return Line(line.sku, line.quantity_milli or PIECE_MILLI, line.amount_minor, line.category, line.brand)


def card_of(request: Any) -> str:
    """The card or phone by which the member is named, if any."""
    return str(request.card or request.phone)


def microseconds(moment: Timestamp) -> int:
    """Finer digits are dropped."""
    return moment.seconds * 1_000_000 + moment.nanos // 1_000


def payload_of(call: OperationRequest) -> dict[str, object]:
    """What makes two calls the same call, by the names that the contract reports, in its order."""
    request: Any = write_of(call)
    receipt: Receipt = getattr(request, "receipt", Receipt())
    card = card_of(request)
    return {
        "kind": kind_of(call),
        "member": card or request.member_id,
        "occurred_at": microseconds(request.occurred_at),
        "store_id": getattr(request, "store_id", ""),
        "terminal_id": getattr(request, "terminal_id", ""),
        "receipt.receipt_id": receipt.receipt_id,
        "receipt.total_minor": receipt.total_minor,
        "receipt.lines": [_line(line) for line in receipt.lines],
        "redeem_points": getattr(request, "redeem_points", 0),
        "offline": call.offline,
        "reward_ids": list(getattr(request, "reward_ids", ())),
        "quote_token": getattr(request, "quote_token", ""),
        "original_idempotency_key": getattr(request, "original_idempotency_key", ""),
        "lines": [(line.line_number, line.quantity_milli) for line in getattr(request, "lines", ())],
        "points": getattr(request, "points", 0),
        "hold_seconds": getattr(request, "hold_seconds", 0),
        "reason": getattr(request, "reason", 0),
    }
