"""Generators of what the rules may be given: programs, receipts, commands, accounts."""

from typing import Final

from hypothesis import strategies as st

from processor.domain.account import Account
from processor.domain.command import SALE_KINDS, Command, Kind, LineItem, Receipt
from processor.domain.limits import (
    AMOUNT_MINOR_MAX,
    BALANCE_POINTS_MAX,
    MEMBER_ID_MAX,
    QUANTITY_MILLI_MAX,
    REDEEM_POINTS_MAX,
)
from processor.domain.program import Program, Rounding, RoundingScope

_PRINTABLE: Final = st.characters(codec="utf-8", exclude_categories=["C", "Z"])
identifiers: Final = st.text(_PRINTABLE, min_size=1, max_size=64)
optional_identifiers: Final = st.just("") | identifiers
times_us: Final = st.integers(0, 4_102_444_800_000_000)


def upto(most: int, least: int = 0) -> st.SearchStrategy[int]:
    """Numbers close to the least, in which the rules meet each other, and the whole range."""
    return st.integers(least, min(most, least + 1_000)) | st.integers(least, most)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Every program that an operator may put in force."""
    value_points, value_minor = draw(upto(1_000_000, 1)), draw(upto(1_000_000, 1))
    worth_something = -(-value_points // value_minor)
    return Program(
        version=draw(st.integers(1, 1_000)),
        effective_from_us=0,
        points_per_step=draw(upto(1_000_000, 1)),
        step_minor=draw(upto(AMOUNT_MINOR_MAX, 1)),
        rounding=draw(st.sampled_from(Rounding)),
        rounding_scope=draw(st.sampled_from(RoundingScope)),
        value_points=value_points,
        value_minor=value_minor,
        minimum_points=draw(upto(REDEEM_POINTS_MAX, worth_something)),
        maximum_share_percent=draw(st.integers(0, 100)),
    )


line_items: Final = st.builds(
    LineItem,
    sku=identifiers,
    quantity_milli=upto(QUANTITY_MILLI_MAX, 1),
    amount_minor=upto(AMOUNT_MINOR_MAX // 500),
    category=optional_identifiers,
    brand=optional_identifiers,
)


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """Receipts without lines, or with lines that add up to a total of at least 1."""
    lines = draw(st.lists(line_items, max_size=6))
    total_minor = sum(line.amount_minor for line in lines)
    if total_minor == 0:
        return Receipt(draw(identifiers), draw(upto(AMOUNT_MINOR_MAX, 1)), ())
    return Receipt(draw(identifiers), total_minor, tuple(lines))


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """Commands as validation lets them through."""
    kind = draw(st.sampled_from(sorted(SALE_KINDS)))
    card = draw(optional_identifiers)
    redeem_points = {
        Kind.ACCRUE: st.just(0),
        Kind.REDEEM: upto(REDEEM_POINTS_MAX, 1),
        Kind.CHECKOUT: upto(REDEEM_POINTS_MAX),
    }
    return Command(
        kind=kind,
        idempotency_key=draw(identifiers),
        member_id=0 if card else draw(upto(MEMBER_ID_MAX, 1)),
        card=card,
        occurred_at_us=draw(times_us),
        store_id=draw(identifiers),
        terminal_id=draw(optional_identifiers),
        receipt=draw(receipts()),
        redeem_points=draw(redeem_points[kind]),
    )


accounts: Final = st.builds(
    Account,
    member_id=upto(MEMBER_ID_MAX, 1),
    balance_points=upto(BALANCE_POINTS_MAX),
    member_sequence=upto(2**62),
    entry_hash=st.binary(min_size=32, max_size=32),
    state=st.just(b""),
    segments=st.just(""),
    status=st.just(0),
)
