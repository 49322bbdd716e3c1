"""Arithmetic of points and money, in integers throughout."""

from collections.abc import Sequence
from itertools import repeat
from operator import floordiv, mod, mul
from typing import Any, Final

from processor.domain.program import Program, Rounding

_DOWN: Final = Rounding.DOWN
_HALF_EVEN: Final = Rounding.HALF_EVEN


def divide(amount: int, step: int, rounding: Rounding) -> int:
    """Divide two non-negative integers, rounding the quotient as told."""
    quotient, rest = divmod(amount, step)
    if rounding is _DOWN or 2 * rest < step:
        return quotient
    if rounding is _HALF_EVEN and 2 * rest == step:
        return quotient + quotient % 2
    return quotient + 1


def earned_points(program: Program, paid_minor: int) -> int:
    """Points for money, at the program's own rate and rounded once."""
    return divide(paid_minor, program.step_minor, program.rounding) * program.points_per_step


def apportion(
    total: int, weights: Sequence[int], owners: Sequence[tuple[Any, ...]] | None = None
) -> list[int]:
    """Split `total` in proportion to `weights`, by the largest remainder.

    The parts add up to `total`. Equal remainders go to the larger weight first, so that the multiset of
    (weight, part) does not depend on the order of the weights; of equal weights to the greatest of their
    `owners`, so that it does not matter either who of them comes first.
    """
    if total == 0:
        return [0] * len(weights)
    if len(weights) == 1:
        return [total]
    whole = sum(weights)
    products = list(map(mul, weights, repeat(total)))
    parts = list(map(floordiv, products, repeat(whole)))
    rest = total - sum(parts)
    if rest:
        remainders = list(map(mod, products, repeat(whole)))
        for at in _by_remainder(remainders, rest, weights, owners or [()] * len(weights))[:rest]:
            parts[at] += 1
    return parts


def _by_remainder(
    remainders: list[int], rest: int, weights: Sequence[int], owners: Sequence[tuple[Any, ...]]
) -> list[int]:
    """Positions with the largest remainder first; more are above 0 than the `rest` that is to be given."""
    order = sorted(range(len(remainders)), key=remainders.__getitem__, reverse=True)
    # Who of equal remainders comes first matters only where the rest ends.
    if remainders[order[rest - 1]] == remainders[order[rest]]:
        ranks = list(zip(remainders, weights, owners, range(len(weights)), strict=True))
        order.sort(key=ranks.__getitem__, reverse=True)
    return order


def redemption_value_minor(program: Program, points: int) -> int:
    """What `points` pay, in minor units; a fraction of a unit is dropped."""
    return points * program.value_minor // program.value_points


def redemption_limit_points(program: Program, total_minor: int) -> int:
    """The most points that a receipt of `total_minor` takes."""
    return points_worth_at_most(program, total_minor * program.maximum_share_percent // 100)


def points_worth_at_most(program: Program, limit_minor: int) -> int:
    """The most points that pay no more than `limit_minor`."""
    return ((limit_minor + 1) * program.value_points - 1) // program.value_minor
