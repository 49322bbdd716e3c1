"""From latencies to percentiles."""

from collections.abc import Sequence
from statistics import quantiles
from typing import Final

from benchmarks.compare.client import Percentiles

# What latencies are of.
CALL: Final = "call"
TRANSACTION: Final = "transaction"
_NOTHING: Final = Percentiles(0, 0)


def percentiles(latencies_seconds: Sequence[float]) -> Percentiles:
    """Those of two or more; of fewer there are none."""
    if len(latencies_seconds) < 2:
        return _NOTHING
    cuts = quantiles(latencies_seconds, n=100, method="inclusive")
    return Percentiles(cuts[49] * 1_000, cuts[98] * 1_000)
