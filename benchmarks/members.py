"""Which members the load falls upon."""

import math
import random
from itertools import accumulate
from itertools import count as count_from


class Members:
    """The members 1 to `count`; the one of rank r is drawn in proportion to r ** -`zipf_exponent`.

    With the exponent 0 all are alike.
    """

    def __init__(self, count: int, zipf_exponent: float = 0.0) -> None:
        self._ranks = range(count)
        weights = ((rank + 1) ** -zipf_exponent for rank in self._ranks)
        self._cumulative_weights = list(accumulate(weights)) if zipf_exponent else None
        self._step = _coprime(count)
        self._random = random.Random()

    def draw(self) -> int:
        """One of them."""
        return self.draw_many(1)[0]

    def draw_many(self, count: int) -> list[int]:
        """So many of them, which costs less than one at a time."""
        ranks = self._random.choices(self._ranks, cum_weights=self._cumulative_weights, k=count)
        # Scattered, so that the busy ones do not share PostgreSQL's pages.
        return [rank * self._step % len(self._ranks) + 1 for rank in ranks]


def _coprime(count: int) -> int:
    """A number without a common divisor with `count`, near five eighths of it."""
    return next(step for step in count_from(count * 5 // 8 + 1) if math.gcd(step, count) == 1)
