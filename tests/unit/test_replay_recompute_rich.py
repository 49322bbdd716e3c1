"""The recomputation under the rich rules: worked examples."""

from typing import Any

import pytest

pytest.importorskip("pandas")

import pandas as pd

from benchmarks.replay.log import LogEntry, Standing, Told
from benchmarks.replay.receipts import Receipts
from benchmarks.replay.recompute_rich import recompute_rich

HOUSEHOLD = 7
DAY_US = 86_400 * 1_000_000
# 2026-03-02, noon in New York.
NOON_US = 1_772_470_800_000_000
NOTHING = Standing(0, 0, 0, "")


class Story:
    """The calls of a household, in order."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._headers: list[tuple[int, int, int]] = []
        self._lines: list[tuple[str, str, int, int]] = []

    def sale(self, *lines: tuple[str, int], points: int = 0, days_ago: int | None = None) -> int:
        """Lines are of one piece, with category and amount; `days_ago` makes the sale an offline one."""
        basket_id = len(self._headers) + 1
        first_line = len(self._lines)
        self._lines += [(f"sku-{at}", category, 1_000, amount) for at, (category, amount) in enumerate(lines)]
        self._headers.append((basket_id, first_line, len(self._lines)))
        at_us = NOON_US - (days_ago or 0) * DAY_US
        self._call(basket_id, occurred_at_us=at_us, is_offline=days_ago is not None, redeem_points=points)
        return basket_id

    def bring_back(self, basket_id: int, returned: str) -> None:
        """As in the log: "1:1000" is a piece of the first line."""
        number = 1 + sum(call["basket_id"] == basket_id and call["return_number"] > 0 for call in self._calls)
        self._call(basket_id, return_number=number, returned=returned)

    def told(self, *, days_later: int = 0) -> tuple[list[Told], Standing]:
        """What every call must have been told, and where the household stands so many days later."""
        log = pd.DataFrame(self._calls)
        lines = pd.DataFrame(self._lines, columns=["sku", "category", "quantity_milli", "amount_minor"])
        headers = pd.DataFrame(self._headers, columns=["basket_id", "first_line", "end_line"])
        receipts = Receipts(headers, lines, 0)
        found = recompute_rich(log, receipts, {HOUSEHOLD: NOTHING}, NOON_US + days_later * DAY_US)
        rows = found.calls[list(Told._fields)].itertuples(index=False, name=None)
        return [Told(*row) for row in rows], found.standings[HOUSEHOLD]

    def _call(self, basket_id: int, **fields: Any) -> None:
        unset = dict.fromkeys(LogEntry._fields, 0) | {"returned": "", "is_offline": False}
        known = {"household_id": HOUSEHOLD, "recorded_at_us": NOON_US, "position": len(self._calls)}
        self._calls.append({**unset, **known, "basket_id": basket_id, **fields})


def test_goods_count_by_their_category_and_the_receipt_is_rounded_down() -> None:
    story = Story()
    story.sale(("PRODUCE", 199), ("GROCERY", 150), ("FUEL", 5_000))
    # 2 x 1.99 + 1.50 = 5.48
    [told], _ = story.told()
    assert (told.earned_points, told.money_minor, told.pending_points) == (5, 5_349, 5)


def test_a_tier_multiplies_points_and_takes_a_discount_from_the_next_sale_on() -> None:
    story = Story()
    story.sale(("GROCERY", 80_000))
    story.sale(("GROCERY", 10_000))
    (first, second), _ = story.told()
    assert (first.earned_points, first.discount_minor, first.tier) == (800, 0, "silver")
    # 98.00 x 1.25
    assert (second.earned_points, second.discount_minor, second.money_minor) == (122, 200, 9_800)


def test_points_wait_a_week_and_last_half_a_year_to_the_end_of_the_month() -> None:
    story = Story()
    story.sale(("GROCERY", 1_000))
    story.sale(("GROCERY", 2_000), days_ago=7)
    story.sale(("GROCERY", 4_000), days_ago=183)
    (now, a_week_ago, in_august), after = story.told()
    assert (now.available_points, now.pending_points) == (0, 10)
    assert (a_week_ago.available_points, a_week_ago.pending_points) == (20, 10)
    # Of 31 August 2025: they expired as March began, and leave the balance before the next call.
    assert (in_august.balance_points, in_august.available_points) == (70, 20)
    assert after == Standing(30, 20, 10, "")
    # Until the end of August and of September.
    assert story.told(days_later=182)[1] == Standing(30, 30, 0, "")
    assert story.told(days_later=183)[1] == Standing(10, 10, 0, "")
    assert story.told(days_later=213)[1] == Standing(0, 0, 0, "")


@pytest.mark.parametrize(
    "points, days_ago, reason",
    [
        (49, None, "REDEMPTION_BELOW_MINIMUM"),
        (501, None, "REDEMPTION_ABOVE_LIMIT"),
        (100, None, "INSUFFICIENT_POINTS"),
    ],
)
def test_a_refusal_changes_nothing(points: int, days_ago: int | None, reason: str) -> None:
    story = Story()
    story.sale(("GROCERY", 9_000), days_ago=30)
    story.sale(("GROCERY", 1_000), ("FUEL", 1), points=points, days_ago=days_ago)
    (earned, refused), after = story.told()
    assert refused == Told(reason, 0, 0, 0, 0, 0, 0, 0, *earned[-4:])
    assert after.available_points == 90


def test_what_is_missing_offline_is_a_shortfall() -> None:
    story = Story()
    story.sale(("GROCERY", 9_000), days_ago=30)
    story.sale(("GROCERY", 1_000), points=100, days_ago=30)
    (_, told), _ = story.told()
    assert (told.redeemed_points, told.redeemed_minor, told.shortfall_points) == (90, 100, 10)
    assert (told.money_minor, told.available_points) == (900, 9)


def test_a_line_that_comes_back_brings_its_points_back_and_takes_those_it_earned() -> None:
    story = Story()
    story.sale(("GROCERY", 30_000), days_ago=30)
    basket = story.sale(("GROCERY", 300), ("GROCERY", 500), points=80)
    story.bring_back(basket, "2:1000")
    story.bring_back(basket, "1:999,2:1")
    (_, sale, back, again), _ = story.told()
    # Of 80 points the line was paid with 50, and of the 7 points for 7.20 (x 1.10) it has earned 4.
    assert (sale.earned_points, sale.money_minor) == (7, 720)
    assert (back.earned_points, back.redeemed_points, back.redeemed_minor) == (50, 4, 50)
    assert (back.money_minor, back.available_points, back.pending_points) == (450, 270, 3)
    assert again.reason == "RETURN_ABOVE_ORIGINAL"


def test_points_that_are_spent_already_are_kept_back_from_the_refund() -> None:
    story = Story()
    basket = story.sale(("GROCERY", 10_000), days_ago=30)
    story.sale(("GROCERY", 1_000), points=100)
    story.bring_back(basket, "1:1000")
    (_, _, back), _ = story.told()
    # The 9 points that the second sale has earned are pending still.
    assert (back.redeemed_points, back.shortfall_points, back.shortfall_minor) == (0, 100, 100)
    assert (back.money_minor, back.pending_points) == (9_900, 9)


def test_what_was_refused_cannot_come_back() -> None:
    story = Story()
    story.bring_back(story.sale(("GROCERY", 1_000), points=60), "1:1000")
    assert [told.reason for told in story.told()[0]] == ["INSUFFICIENT_POINTS", "NOT_REVERSIBLE"]
