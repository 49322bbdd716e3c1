"""What the tills do is chosen by the seed, in the shares that are told."""

from collections import Counter

from benchmarks.replay.events import Header
from benchmarks.replay.plan import (
    choose_comebacks,
    choose_copies,
    choose_redeem_points,
    is_offline,
    redeems,
)

DAY_US = 86_400 * 1_000_000


def test_one_in_a_hundred_is_sent_thrice_and_five_twice() -> None:
    copies = Counter(choose_copies(1, str(basket_id)) for basket_id in range(20_000))

    assert set(copies) == {1, 2, 3}
    assert 150 < copies[3] < 250
    assert 850 < copies[2] < 1_150


def test_the_same_seed_chooses_the_same() -> None:
    def choices(seed: int) -> list[tuple[int, bool, int]]:
        return [
            (
                choose_copies(seed, str(basket)),
                redeems(seed, basket),
                choose_redeem_points(seed, basket, 500, 3_000),
            )
            for basket in range(300)
        ]

    assert choices(1) == choices(1)
    assert choices(1) != choices(2)


def test_redemptions_are_of_every_kind() -> None:
    points = [choose_redeem_points(1, basket_id, 500, 3_000) for basket_id in range(1_000)]

    assert points.count(0) > 500
    assert any(0 < asked < 50 for asked in points)
    assert any(50 <= asked <= 500 for asked in points)
    assert any(500 < asked <= 1_500 for asked in points)
    assert any(asked > 1_500 for asked in points)


def test_half_of_the_receipts_are_made_offline() -> None:
    assert 950 < sum(is_offline(1, basket_id) for basket_id in range(2_000)) < 1_050


def test_two_in_a_hundred_lines_come_back_within_weeks_but_not_after_the_last_moment() -> None:
    latest_us = 20 * DAY_US
    headers = [Header(basket_id, 7, 3, DAY_US, 100, 0, 10) for basket_id in range(2_000)]
    planned = [list(choose_comebacks(1, header, [2_000] * 10, latest_us)) for header in headers]
    comebacks = [comeback for of_receipt in planned for comeback in of_receipt]
    first = [comeback for comeback in comebacks if comeback.return_number == 1]

    # Some come back after the last moment, and are left out.
    assert 150 < sum(len(comeback.lines) for comeback in first) < 400
    assert all(2 * DAY_US <= comeback.occurred_at_us <= latest_us for comeback in comebacks)
    quantities = {milli for comeback in comebacks for _, milli in comeback.lines}
    assert max(quantities) == 2_000
    assert min(quantities) >= 1
    twice = [of_receipt for of_receipt in planned if len(of_receipt) > 1]
    assert twice
    assert all(again.lines == once.lines for once, again in twice)
