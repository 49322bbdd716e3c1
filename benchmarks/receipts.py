"""Receipts as large as those of a real retailer."""

import random
from typing import Final

from loyalty.v1.operation_pb2 import LineItem, Receipt

# The 5 % quantiles of the 155,370 receipts that `make replay` sends. A receipt takes both from the same
# rank: those that cost more have more lines.
_TOTAL_MINOR: Final = (
    1, 169, 297, 419, 565, 719, 899, 1057, 1275, 1500, 1761,
    2002, 2344, 2708, 3142, 3686, 4390, 5451, 7128, 10241, 96149,
)  # fmt: skip
_LINES: Final = (1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 25, 35, 161)
_SKUS: Final = 65_000


def draw_receipt(source: random.Random, receipt_id: str, *, with_lines: bool) -> Receipt:
    """A receipt of a random size, with its line items or the total alone."""
    rank = source.random()
    total_minor = _at(_TOTAL_MINOR, rank)
    lines = _draw_lines(source, total_minor, _at(_LINES, rank)) if with_lines else ()
    return Receipt(receipt_id=receipt_id, total_minor=total_minor, lines=lines)


def _at(quantiles: tuple[int, ...], rank: float) -> int:
    """The value at a rank of 0 to 1, between two quantiles in proportion."""
    index, part = divmod(rank * (len(quantiles) - 1), 1)
    low, high = quantiles[int(index)], quantiles[int(index) + 1]
    return round(low + part * (high - low))


def _draw_lines(source: random.Random, total_minor: int, count: int) -> list[LineItem]:
    cuts = sorted(source.randint(0, total_minor) for _ in range(count - 1))
    bounds = zip([0, *cuts], [*cuts, total_minor], strict=True)
    return [
        LineItem(sku=str(source.randrange(_SKUS)), quantity_milli=1_000, amount_minor=end - start)
        for start, end in bounds
    ]
