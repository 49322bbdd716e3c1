"""Requests to plain values; a request that is not valid is refused with every violation that it has."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from loyalty.v1 import operation_pb2
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    CheckoutRequest,
    GetBalanceRequest,
    ListOperationsRequest,
    OperationRequest,
    RedeemRequest,
)
from processor.domain.command import Command, Kind, LineItem, Receipt
from processor.domain.limits import (
    AMOUNT_MINOR_MAX,
    BATCH_OPERATIONS_MAX,
    MEMBER_ID_MAX,
    QUANTITY_MILLI_MAX,
    RECEIPT_LINES_MAX,
    REDEEM_POINTS_MAX,
)
from processor.domain.outcomes import Outcome
from processor.rpc.status import Refused, Violation
from processor.rpc.validate import identifier, optional_identifier, within

WriteRequest = AccrueRequest | RedeemRequest | CheckoutRequest
MemberRequest = WriteRequest | GetBalanceRequest | ListOperationsRequest

_QUANTITY_MILLI_DEFAULT: Final = 1_000
_SECONDS_OF_2000: Final = 946_684_800
_SECONDS_OF_2101: Final = 4_133_980_800
_NO_RECEIPT: Final = Receipt("", 0, ())


def accrue_command(request: AccrueRequest) -> Command:
    """Raises Refused."""
    return _command(Kind.ACCRUE, request, 0, [])


def redeem_command(request: RedeemRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    points = within(found, "redeem_points", request.redeem_points, 1, REDEEM_POINTS_MAX)
    return _command(Kind.REDEEM, request, points, found)


def checkout_command(request: CheckoutRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    points = within(found, "redeem_points", request.redeem_points, 0, REDEEM_POINTS_MAX)
    return _command(Kind.CHECKOUT, request, points, found)


_COMMANDS: Final[Mapping[str, Callable[[Any], Command]]] = MappingProxyType(
    {"accrue": accrue_command, "redeem": redeem_command, "checkout": checkout_command}
)


def operation_command(request: OperationRequest) -> Command:
    """One item of a batch; violations name fields as in the item's own request. Raises Refused."""
    kind = request.WhichOneof("request")
    if kind is None:
        problem = Violation("request", f"is required: set one of {', '.join(_COMMANDS)}")
        raise Refused(Outcome.INVALID_REQUEST, violations=[problem])
    return _COMMANDS[kind](getattr(request, kind))


def operation_key(request: OperationRequest) -> str:
    """The idempotency key of an item as it was sent, valid or not."""
    kind = request.WhichOneof("request")
    return getattr(request, kind).idempotency_key if kind else ""


def check_operations(operations: Sequence[OperationRequest]) -> None:
    """A batch holds 1 to 1,000 operations. Raises Refused."""
    found: list[Violation] = []
    within(found, "operations", len(operations), 1, BATCH_OPERATIONS_MAX)
    refuse_if_any(found)


def refuse_if_any(found: Sequence[Violation]) -> None:
    """Raises Refused with what was found, if anything."""
    if found:
        raise Refused(Outcome.INVALID_REQUEST, violations=found)


def read_member(found: list[Violation], request: MemberRequest) -> tuple[int, str]:
    """(member_id, card) of which one is given, else 0 or ""."""
    match request.WhichOneof("member"):
        case "member_id":
            return within(found, "member_id", request.member_id, 1, MEMBER_ID_MAX), ""
        case "card":
            return 0, identifier(found, "card", request.card)
    found.append(Violation("member", "is required: set member_id or card"))
    return 0, ""


def _command(kind: Kind, request: WriteRequest, redeem_points: int, found: list[Violation]) -> Command:
    idempotency_key = identifier(found, "idempotency_key", request.idempotency_key)
    member_id, card = read_member(found, request)
    command = Command(
        kind,
        idempotency_key,
        member_id,
        card,
        _read_time(found, request),
        identifier(found, "store_id", request.store_id),
        optional_identifier(found, "terminal_id", request.terminal_id),
        _read_receipt(found, request),
        redeem_points,
    )
    refuse_if_any(found)
    return command


def _read_time(found: list[Violation], request: WriteRequest) -> int:
    """Microseconds since the Unix epoch."""
    occurred_at = request.occurred_at
    seconds, nanos = occurred_at.seconds, occurred_at.nanos
    if not request.HasField("occurred_at"):
        found.append(Violation("occurred_at", "is required"))
    elif not _SECONDS_OF_2000 <= seconds < _SECONDS_OF_2101:
        found.append(
            Violation("occurred_at", f"must lie in the years 2000 to 2100, not at {seconds} seconds")
        )
    elif not 0 <= nanos < 1_000_000_000:
        found.append(Violation("occurred_at", f"must have nanos of 0 to 999999999, not {nanos}"))
    return seconds * 1_000_000 + nanos // 1_000


def _read_receipt(found: list[Violation], request: WriteRequest) -> Receipt:
    if not request.HasField("receipt"):
        found.append(Violation("receipt", "is required"))
        return _NO_RECEIPT
    message = request.receipt
    problems: list[Violation] = []
    receipt_id = identifier(problems, "receipt_id", message.receipt_id)
    total_minor = within(problems, "total_minor", message.total_minor, 1, AMOUNT_MINOR_MAX)
    receipt = Receipt(receipt_id, total_minor, _read_lines(problems, message))
    found += [problem.inside("receipt") for problem in problems]
    return receipt


def _read_lines(found: list[Violation], receipt: operation_pb2.Receipt) -> tuple[LineItem, ...]:
    items = receipt.lines
    if not items:
        return ()
    if len(items) > RECEIPT_LINES_MAX:
        found.append(Violation("lines", f"must be at most {RECEIPT_LINES_MAX}, not {len(items)}"))
        return ()
    lines = tuple([_read_line(found, index, item) for index, item in enumerate(items)])
    amount_minor = sum([line.amount_minor for line in lines])
    if amount_minor != receipt.total_minor and not found:
        found.append(
            Violation("lines", f"must add up to total_minor {receipt.total_minor}, not {amount_minor}")
        )
    return lines


def _read_line(found: list[Violation], index: int, item: operation_pb2.LineItem) -> LineItem:
    problems: list[Violation] = []
    line = LineItem(
        identifier(problems, "sku", item.sku),
        within(
            problems, "quantity_milli", item.quantity_milli or _QUANTITY_MILLI_DEFAULT, 1, QUANTITY_MILLI_MAX
        ),
        within(problems, "amount_minor", item.amount_minor, 0, AMOUNT_MINOR_MAX),
        optional_identifier(problems, "category", item.category),
    )
    if problems:
        found += [problem.inside(f"lines[{index}]") for problem in problems]
    return line
