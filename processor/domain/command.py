"""What a till asks for, as plain values: already validated, nothing of the wire left in it."""

from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """The kind of an operation; the numbers are stored and equal those of the contract."""

    ACCRUE = 1
    REDEEM = 2
    CHECKOUT = 3


class LineItem(NamedTuple):
    """One line of a receipt; `quantity_milli` is in thousandths of a piece or unit."""

    sku: str
    quantity_milli: int
    amount_minor: int
    category: str


class Receipt(NamedTuple):
    """What the customer owes before points; `lines` is empty or adds up to `total_minor`."""

    receipt_id: str
    total_minor: int
    lines: tuple[LineItem, ...]


class Command(NamedTuple):
    """One operation to apply. Exactly one of `member_id` (0 if unset) and `card` ("" if unset) is given.

    `occurred_at_us` is the till's time in microseconds since the Unix epoch.
    """

    kind: Kind
    idempotency_key: str
    member_id: int
    card: str
    occurred_at_us: int
    store_id: str
    terminal_id: str
    receipt: Receipt
    redeem_points: int
