"""The effects of an operation as the ledger keeps them: bytes."""

import struct
from collections.abc import Callable, Iterator, Sequence
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


# The numbers of the parts in the bytes; never reused.
_LOTS: Final = 1
_OPENED_HOLD: Final = 2
_CLOSED_HOLDS: Final = 3
_UNDATED_EXPIRY: Final = 4
_QUALIFIED: Final = 5
_TIER_BASE: Final = 6
_COUNTED: Final = 7
_SHARES: Final = 8
_RETURNED: Final = 9
_SHORTFALL: Final = 10
_UNCOUNTED: Final = 11


def encode_effects(effects: Effects) -> bytes:
    """Little-endian 64-bit integers: number and length of each part that is not empty, and its content."""
    if effects is NO_EFFECTS:
        return b""
    (
        lots,
        opened,
        closed,
        undated_us,
        qualified,
        tier_base,
        counted,
        shares,
        returned,
        shortfall,
        uncounted,
    ) = effects
    numbers: list[int] = []
    for section, rows in (
        (_LOTS, lots),
        (_QUALIFIED, qualified),
        (_COUNTED, counted),
        (_SHARES, shares),
        (_RETURNED, returned),
        (_UNCOUNTED, uncounted),
    ):
        if rows:
            numbers += (section, len(rows) * len(rows[0]), *chain.from_iterable(rows))
    if opened or closed:
        numbers += _hold_numbers(opened, closed)
    if undated_us is not None:
        numbers += (_UNDATED_EXPIRY, 1, undated_us)
    if tier_base:
        numbers += (_TIER_BASE, 2, *tier_base)
    if shortfall:
        numbers += (_SHORTFALL, 1, shortfall)
    return struct.pack(f"<{len(numbers)}q", *numbers)


def _hold_numbers(opened: Sequence[Hold], closed: Sequence[int]) -> Iterator[int]:
    for hold_id, expires_at_us, slices in opened:
        yield from (_OPENED_HOLD, 2 + 2 * len(slices), hold_id, expires_at_us, *chain.from_iterable(slices))
    if closed:
        yield from (_CLOSED_HOLDS, len(closed), *closed)


def decode_effects(data: bytes) -> Effects:
    """Inverse of `encode_effects`. Raises struct.error or KeyError if it is no such thing."""
    numbers = struct.unpack(f"<{len(data) // 8}q", data)
    fields: dict[str, Any] = {}
    opened: list[Hold] = []
    start = 0
    while start < len(numbers):
        section, length = numbers[start : start + 2]
        content = numbers[start + 2 : start + 2 + length]
        if section == _OPENED_HOLD:
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
    _LOTS: ("lots", lambda numbers: _rows(LotChange, numbers)),
    _CLOSED_HOLDS: ("closed_holds", tuple),
    _UNDATED_EXPIRY: ("undated_expires_at_us", lambda numbers: numbers[0]),
    _QUALIFIED: ("qualified", lambda numbers: _rows(Qualified, numbers)),
    _TIER_BASE: ("tier_base", lambda numbers: TierBase(*numbers)),
    _COUNTED: ("counted", lambda numbers: _rows(Counted, numbers)),
    _SHARES: ("shares", lambda numbers: tuple(zip(*[iter(numbers)] * _SHARE_WIDTH, strict=True))),
    _RETURNED: ("returned", lambda numbers: _rows(ReturnedPart, numbers)),
    _SHORTFALL: ("shortfall_points", lambda numbers: numbers[0]),
    _UNCOUNTED: ("uncounted", lambda numbers: _rows(Counted, numbers)),
}
