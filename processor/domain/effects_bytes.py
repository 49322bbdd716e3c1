"""The effects of an operation as the ledger keeps them: bytes."""

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import chain
from typing import Any, Final

from processor.domain.effects import (
    NO_EFFECTS,
    Counted,
    Effects,
    LineShare,
    LotChange,
    Qualified,
    ReturnedPart,
    TierBase,
)
from processor.domain.state import Hold, Lot

_SHARE_WIDTH: Final = len(LineShare._fields)


class _Section(IntEnum):
    """The number of a part in the bytes; never reused."""

    LOTS = 1
    OPENED_HOLD = 2
    CLOSED_HOLDS = 3
    UNDATED_EXPIRY = 4
    QUALIFIED = 5
    TIER_BASE = 6
    COUNTED = 7
    SHARES = 8
    RETURNED = 9
    SHORTFALL = 10


def encode_effects(effects: Effects) -> bytes:
    """Little-endian 64-bit integers: number and length of each part that is not empty, and its content."""
    if effects is NO_EFFECTS or effects == NO_EFFECTS:
        return b""
    numbers: list[int] = []
    for section, rows in (
        (_Section.LOTS, effects.lots),
        (_Section.QUALIFIED, effects.qualified),
        (_Section.COUNTED, effects.counted),
        (_Section.SHARES, effects.shares),
        (_Section.RETURNED, effects.returned),
    ):
        if rows:
            numbers += (section, len(rows) * len(rows[0]), *chain.from_iterable(rows))
    for hold in effects.opened_holds:
        numbers += (_Section.OPENED_HOLD, 2 + 2 * len(hold.slices), *hold[:2], *chain(*hold.slices))
    if effects.closed_holds:
        numbers += (_Section.CLOSED_HOLDS, len(effects.closed_holds), *effects.closed_holds)
    if effects.undated_expires_at_us is not None:
        numbers += (_Section.UNDATED_EXPIRY, 1, effects.undated_expires_at_us)
    if effects.tier_base:
        numbers += (_Section.TIER_BASE, 2, *effects.tier_base)
    if effects.shortfall_points:
        numbers += (_Section.SHORTFALL, 1, effects.shortfall_points)
    return struct.pack(f"<{len(numbers)}q", *numbers)


def decode_effects(data: bytes) -> Effects:
    """Inverse of `encode_effects`. Raises struct.error or KeyError if it is no such thing."""
    numbers = struct.unpack(f"<{len(data) // 8}q", data)
    fields: dict[str, Any] = {}
    opened: list[Hold] = []
    start = 0
    while start < len(numbers):
        section, length = numbers[start : start + 2]
        content = numbers[start + 2 : start + 2 + length]
        if section == _Section.OPENED_HOLD:
            opened.append(Hold(content[0], content[1], _rows(Lot, content[2:])))
        else:
            name, read = _READERS[section]
            fields[name] = read(content)
        start += 2 + length
    return Effects(opened_holds=tuple(opened), **fields)


def _rows(row_type: Callable[..., Any], numbers: Sequence[int]) -> tuple[Any, ...]:
    width = len(row_type._fields)  # type: ignore[attr-defined]
    return tuple([row_type(*numbers[at : at + width]) for at in range(0, len(numbers), width)])


_READERS: Final[dict[int, tuple[str, Callable[[Sequence[int]], Any]]]] = {
    _Section.LOTS: ("lots", lambda numbers: _rows(LotChange, numbers)),
    _Section.CLOSED_HOLDS: ("closed_holds", tuple),
    _Section.UNDATED_EXPIRY: ("undated_expires_at_us", lambda numbers: numbers[0]),
    _Section.QUALIFIED: ("qualified", lambda numbers: _rows(Qualified, numbers)),
    _Section.TIER_BASE: ("tier_base", lambda numbers: TierBase(*numbers)),
    _Section.COUNTED: ("counted", lambda numbers: _rows(Counted, numbers)),
    _Section.SHARES: ("shares", lambda numbers: tuple(zip(*[iter(numbers)] * _SHARE_WIDTH, strict=True))),
    _Section.RETURNED: ("returned", lambda numbers: _rows(ReturnedPart, numbers)),
    _Section.SHORTFALL: ("shortfall_points", lambda numbers: numbers[0]),
}
