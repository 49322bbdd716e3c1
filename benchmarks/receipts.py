"""Receipts as large as those of a real retailer."""

import random
from bisect import bisect_right
from typing import Final

from loyalty.v1.operation_pb2 import LineItem, Receipt

# Quantiles of the 155,370 receipts that `make replay` sends, by rank: numpy.quantile of their totals and of
# their numbers of lines, as benchmarks/replay/receipts.py reads them, rounded. Every 5 %, and closer where
# the few large ones are. A receipt takes both from the same rank: those that cost more have more lines.
_RANKS: Final = (*(step / 20 for step in range(20)), 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9999, 1.0)
_TOTAL_MINOR: Final = (
    1, 169, 297, 419, 565, 719, 899, 1057, 1275, 1500, 1761, 2002, 2344, 2708, 3142, 3686, 4390, 5451, 7128,
    10242, 11260, 12618, 14462, 17558, 20614, 28195, 42795, 96149,
)  # fmt: skip
_LINES: Final = (
    1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 25,
    35, 39, 43, 49, 59, 68, 90, 125, 161,
)  # fmt: skip
_SKUS: Final = 65_000


def draw_receipt(source: random.Random, receipt_id: str, *, with_lines: bool) -> Receipt:
    """A receipt of a random size, with its line items or the total alone."""
    rank = source.random()
    total_minor = _at(_TOTAL_MINOR, rank)
    lines = _draw_lines(source, total_minor, _at(_LINES, rank)) if with_lines else ()
    return Receipt(receipt_id=receipt_id, total_minor=total_minor, lines=lines)


def _at(quantiles: tuple[int, ...], rank: float) -> int:
    """The value at a rank of 0 to 1, between two quantiles in proportion."""
    index = bisect_right(_RANKS, rank) - 1
    low, high = quantiles[index], quantiles[index + 1]
    part = (rank - _RANKS[index]) / (_RANKS[index + 1] - _RANKS[index])
    return round(low + part * (high - low))


def _draw_lines(source: random.Random, total_minor: int, count: int) -> list[LineItem]:
    cuts = sorted(source.randint(0, total_minor) for _ in range(count - 1))
    bounds = zip([0, *cuts], [*cuts, total_minor], strict=True)
    return [
        LineItem(sku=str(source.randrange(_SKUS)), quantity_milli=1_000, amount_minor=end - start)
        for start, end in bounds
    ]
