"""Sales: Accrue, Redeem, Checkout, and the Quote of one. The way of an accrual is the hot path."""

from collections.abc import Sequence
from typing import Final

from loyalty.v1 import operation_pb2
from loyalty.v1.transaction_service_pb2 import AccrueRequest, CheckoutRequest, QuoteRequest, RedeemRequest
from processor.domain.command import UNSET_FIELDS, Command, Kind, LineItem, Receipt
from processor.domain.limits import (
    AMOUNT_MINOR_MAX,
    IDENTIFIER_CHARS_MAX,
    QUANTITY_MILLI_MAX,
    QUOTE_TOKEN_CHARS_MAX,
    RECEIPT_LINES_MAX,
    REDEEM_POINTS_MAX,
    REWARDS_MAX,
)
from processor.domain.records import record
from processor.rpc.convert.fields import (
    SaleRequest,
    read_key,
    read_member,
    read_time,
    refuse_if_any,
)
from processor.rpc.status import Violation, move_inside
from processor.rpc.validate import identifier, optional_identifier, within

_QUANTITY_MILLI_DEFAULT: Final = 1_000
# A member of an enumeration takes long to be looked up.
_ACCRUE: Final = Kind.ACCRUE


def accrue_command(request: AccrueRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    command = _sale(_ACCRUE, request, 0, found)
    refuse_if_any(found)
    return command


def redeem_command(request: RedeemRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    lowest = 0 if request.reward_ids else 1
    points = within(found, "redeem_points", request.redeem_points, lowest, REDEEM_POINTS_MAX)
    command = _sale(Kind.REDEEM, request, points, found)
    reward_ids = _read_rewards(found, request.reward_ids)
    refuse_if_any(found)
    return command._replace(reward_ids=reward_ids)


def checkout_command(request: CheckoutRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    points = within(found, "redeem_points", request.redeem_points, 0, REDEEM_POINTS_MAX)
    command = _sale(Kind.CHECKOUT, request, points, found)
    reward_ids = _read_rewards(found, request.reward_ids)
    quote_token = _read_quote_token(found, request.quote_token)
    refuse_if_any(found)
    return command._replace(reward_ids=reward_ids, quote_token=quote_token)


def quote_command(request: QuoteRequest, now_us: int) -> Command:
    """The Checkout that is previewed, without a key. Raises Refused."""
    found: list[Violation] = []
    points = within(found, "redeem_points", request.redeem_points, 0, REDEEM_POINTS_MAX)
    member_id, card = read_member(found, request)
    command = Command(
        Kind.CHECKOUT,
        "",
        member_id,
        card,
        now_us,
        identifier(found, "store_id", request.store_id),
        optional_identifier(found, "terminal_id", request.terminal_id),
        _read_receipt(found, request),
        points,
        reward_ids=_read_rewards(found, request.reward_ids),
    )
    refuse_if_any(found)
    return command


def _sale(kind: Kind, request: SaleRequest, redeem_points: int, found: list[Violation]) -> Command:
    idempotency_key = read_key(found, request.idempotency_key)
    member_id, card = read_member(found, request)
    values = (
        kind,
        idempotency_key,
        member_id,
        card,
        read_time(found, request),
        identifier(found, "store_id", request.store_id),
        optional_identifier(found, "terminal_id", request.terminal_id),
        _read_receipt(found, request),
        redeem_points,
    )
    return record(Command, values + UNSET_FIELDS)


def _read_receipt(found: list[Violation], request: SaleRequest | QuoteRequest) -> Receipt:
    message = request.receipt
    problems: list[Violation] = []
    receipt_id = identifier(problems, "receipt_id", message.receipt_id)
    total_minor = within(problems, "total_minor", message.total_minor, 1, AMOUNT_MINOR_MAX)
    receipt = record(Receipt, (receipt_id, total_minor, _read_lines(problems, message)))
    if problems:
        is_there = request.HasField("receipt")
        found += move_inside("receipt", problems) if is_there else [Violation("receipt", "is required")]
    return receipt


def _read_lines(found: list[Violation], receipt: operation_pb2.Receipt) -> tuple[LineItem, ...]:
    items = receipt.lines
    if not items:
        return ()
    if len(items) > RECEIPT_LINES_MAX:
        found.append(Violation("lines", f"must be at most {RECEIPT_LINES_MAX}, not {len(items)}"))
        return ()
    lines = tuple(
        [
            record(
                LineItem,
                (
                    item.sku,
                    item.quantity_milli or _QUANTITY_MILLI_DEFAULT,
                    item.amount_minor,
                    item.category,
                    item.brand,
                ),
            )
            for item in items
        ]
    )
    if not _are_valid(lines):
        for index, line in enumerate(lines):
            found += move_inside(f"lines[{index}]", _faults_of(line))
    amount_minor = sum([line.amount_minor for line in lines])
    if amount_minor != receipt.total_minor and not found:
        found.append(
            Violation("lines", f"must add up to total_minor {receipt.total_minor}, not {amount_minor}")
        )
    return lines


def _are_valid(lines: Sequence[LineItem]) -> bool:
    """As `_faults_of` finds none, all at once: receipts have many lines, and nearly all of them are valid."""
    skus, quantities_milli, amounts_minor, categories, brands = zip(*lines, strict=True)
    texts = (*skus, *categories, *brands)
    return (
        all(skus)
        and max(map(len, texts)) <= IDENTIFIER_CHARS_MAX
        and "".join(texts).isprintable()
        and min(quantities_milli) >= 1
        and max(quantities_milli) <= QUANTITY_MILLI_MAX
        and min(amounts_minor) >= 0
        and max(amounts_minor) <= AMOUNT_MINOR_MAX
    )


def _faults_of(line: LineItem) -> list[Violation]:
    found: list[Violation] = []
    identifier(found, "sku", line.sku)
    within(found, "quantity_milli", line.quantity_milli, 1, QUANTITY_MILLI_MAX)
    within(found, "amount_minor", line.amount_minor, 0, AMOUNT_MINOR_MAX)
    optional_identifier(found, "category", line.category)
    optional_identifier(found, "brand", line.brand)
    return found


def _read_rewards(found: list[Violation], reward_ids: Sequence[str]) -> tuple[str, ...]:
    if not reward_ids:
        return ()
    if len(reward_ids) > REWARDS_MAX:
        found.append(Violation("reward_ids", f"must be at most {REWARDS_MAX}, not {len(reward_ids)}"))
        return ()
    for index, reward_id in enumerate(reward_ids):
        identifier(found, f"reward_ids[{index}]", reward_id)
        if reward_id in reward_ids[:index]:
            found.append(Violation(f"reward_ids[{index}]", f"must be distinct; {reward_id} is there before"))
    return tuple(reward_ids)


def _read_quote_token(found: list[Violation], token: str) -> str:
    if len(token) > QUOTE_TOKEN_CHARS_MAX or not token.isprintable():
        found.append(Violation("quote_token", "must be the quote_token of a QuoteResponse, as it is"))
    return token
