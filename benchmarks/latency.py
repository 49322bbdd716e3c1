"""Latencies at full resolution: they can be merged, and written as HdrHistogram's plotters read them."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hdrh.histogram import HdrHistogram

_LOWEST_US: Final = 1
_HIGHEST_US: Final = 3_600_000_000
_SIGNIFICANT_DIGITS: Final = 3
# It costs a hundred times as much as to append to a list, but equal ones are recorded in one go.
_RECORDED_AT_ONCE: Final = 10_000
_PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


class Latencies:
    """How long calls took, in microseconds."""

    def __init__(self) -> None:
        self._recorded = HdrHistogram(_LOWEST_US, _HIGHEST_US, _SIGNIFICANT_DIGITS)
        self._unrecorded_us: list[int] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._histogram().get_total_count())

    def record(self, latency_us: int) -> None:
        """Add one."""
        self._unrecorded_us.append(latency_us)
        if len(self._unrecorded_us) >= _RECORDED_AT_ONCE:
            self._histogram()

    def _histogram(self) -> HdrHistogram:
        """With everything in it."""
        for latency_us, count in Counter(self._unrecorded_us).items():
            self._recorded.record_value(min(max(latency_us, _LOWEST_US), _HIGHEST_US), count)
        self._unrecorded_us.clear()
        return self._recorded

    def encode(self) -> bytes:
        """For `add`, in another process."""
        encoded: bytes = self._histogram().encode()
        return encoded

    def add(self, encoded: bytes) -> None:
        """Add those of another."""
        if HdrHistogram.decode(encoded).get_total_count():
            self._recorded.decode_and_add(encoded)

    def at_ms(self, percentile: float) -> float:
        """The latency that so many percent do not exceed, in milliseconds; 0 if there are none."""
        return float(self._histogram().get_value_at_percentile(percentile)) / 1_000 if self.count else 0.0

    def percentiles_ms(self) -> Mapping[str, float]:
        """The usual ones by name, in milliseconds."""
        return {name: self.at_ms(percentile) for name, percentile in _PERCENTILES.items()}

    def write_distribution(self, path: Path) -> None:
        """The distribution by percentile, in milliseconds."""
        with path.open("wb") as file:
            self._histogram().output_percentile_distribution(file, 1_000)
