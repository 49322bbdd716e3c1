"""What the tills do is chosen by the seed, in the shares that are told."""

from collections import Counter

from benchmarks.replay.plan import choose_copies, choose_redeem_points, redeems


def test_one_in_a_hundred_is_sent_thrice_and_five_twice() -> None:
    copies = Counter(choose_copies(1, basket_id) for basket_id in range(20_000))

    assert set(copies) == {1, 2, 3}
    assert 150 < copies[3] < 250
    assert 850 < copies[2] < 1_150


def test_the_same_seed_chooses_the_same() -> None:
    def choices(seed: int) -> list[tuple[int, bool, int]]:
        return [
            (
                choose_copies(seed, basket),
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
