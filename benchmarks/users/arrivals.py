"""When a till's calls are due if they come by chance, not when the last one is answered."""

import random
from time import perf_counter

import gevent  # type: ignore[import-untyped] # published without types


class Arrivals:
    """Calls of one till that arrive `per_second` on average, by a Poisson process."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._due = perf_counter()

    def wait(self) -> float:
        """Wait for the next; returns when it was due by perf_counter, which may be long past."""
        self._due += random.expovariate(self._per_second)
        gevent.sleep(max(0.0, self._due - perf_counter()))
        return self._due
