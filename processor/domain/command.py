"""What a till asks for, as plain values: already validated, nothing of the wire left in it."""

from enum import IntEnum
from typing import Final, NamedTuple


class Kind(IntEnum):
    """The kind of an operation; the numbers are stored and equal those of the contract.

    From 16 on they are the service's own: what becomes of points and holds when their time has come.
    """

    ACCRUE = 1
    REDEEM = 2
    CHECKOUT = 3
    HOLD = 4
    CAPTURE = 5
    VOID = 6
    REVERSE = 7
    RETURN = 8
    ADJUST = 9
    ACTIVATE = 16
    EXPIRE = 17
    RELEASE = 18


SALE_KINDS: Final = frozenset({Kind.ACCRUE, Kind.REDEEM, Kind.CHECKOUT})
CALLED_KINDS: Final = frozenset(kind for kind in Kind if kind < Kind.ACTIVATE)
# Keys of the service's own operations begin so; a till's may not.
SYSTEM_KEY_PREFIX: Final = "system:"


class LineItem(NamedTuple):
    """One line of a receipt; `quantity_milli` is in thousandths of a piece or unit."""

    sku: str
    quantity_milli: int
    amount_minor: int
    category: str
    brand: str = ""


class Receipt(NamedTuple):
    """What the customer owes before points; `lines` is empty or adds up to `total_minor`."""

    receipt_id: str
    total_minor: int
    lines: tuple[LineItem, ...]


class ReturnedLine(NamedTuple):
    """Goods that come back: the line's number on the original receipt, from 1, and how much of it."""

    line_number: int
    quantity_milli: int


class Command(NamedTuple):
    """One operation to apply. Exactly one of `member_id` (0 if unset) and `card` ("" if unset) is given.

    `occurred_at_us` is the till's time in microseconds since the Unix epoch. A phone number is a card whose
    text is the number in E.164. What follows `redeem_points` has meaning for some kinds only:
    `offline`, `reward_ids` and `quote_token` for sales, `original_key` for what refers to an earlier
    operation (CAPTURE, VOID: the hold; REVERSE, RETURN: what is undone), `returned` for RETURN, `points` for
    HOLD, CAPTURE (0: all of it) and ADJUST (signed), `hold_seconds` for HOLD (0: as the program says) and
    `reason` for ADJUST.
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
    offline: bool = False
    reward_ids: tuple[str, ...] = ()
    quote_token: str = ""
    original_key: str = ""
    returned: tuple[ReturnedLine, ...] = ()
    points: int = 0
    hold_seconds: int = 0
    reason: str = ""


# What follows `redeem_points` where it has no meaning.
UNSET_FIELDS: Final = tuple(Command._field_defaults.values())

_ACTIVATE: Final = Kind.ACTIVATE
NO_RECEIPT: Final = Receipt("", 0, ())


def due_command(member_id: int) -> Command:
    """The service's own request to do what is due of a member; it has no key and no row of its own."""
    return Command(Kind.ACTIVATE, "", member_id, "", 0, "", "", NO_RECEIPT, 0)


def is_due_command(command: Command) -> bool:
    """Whether it is one of those."""
    return command.kind is _ACTIVATE


def lines_text(lines: tuple[LineItem, ...]) -> str:
    """Lines as they are stored and fingerprinted: a row each, its fields between tabs.

    Identifiers are printable, so the separators cannot occur in them. The brand is left out if empty.
    """
    if not lines:
        return ""
    return "\n".join(
        [
            f"{sku}\t{quantity_milli}\t{amount_minor}\t{category}\t{brand}"
            if brand
            else f"{sku}\t{quantity_milli}\t{amount_minor}\t{category}"
            for sku, quantity_milli, amount_minor, category, brand in lines
        ]
    )


def lines_from_text(text: str) -> tuple[LineItem, ...]:
    """Inverse of `lines_text`."""
    return tuple(map(_line_from_text, text.split("\n"))) if text else ()


def _line_from_text(text: str) -> LineItem:
    sku, quantity_milli, amount_minor, category, *brand = text.split("\t")
    return LineItem(sku, int(quantity_milli), int(amount_minor), category, *brand)
