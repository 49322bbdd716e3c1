"""What changed between two scrapes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from processor.top.scrape import Scrape


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Upper bounds of the faster half, of 95 and of 99 in a hundred; None if nothing was observed."""

    p50: float | None
    p95: float | None
    p99: float | None


class Change(NamedTuple):
    """From one scrape of a server to a later one. Counters that fell have begun anew, from 0."""

    before: Scrape
    after: Scrape

    @property
    def seconds(self) -> float:
        """Between them."""
        return self.after.at_seconds - self.before.at_seconds

    def rate(self, name: str, **labels: str) -> float:
        """Of a counter, or several summed up, by the second."""
        return self.increase(name, **labels) / self.seconds

    def increase(self, name: str, **labels: str) -> float:
        """The same in all."""
        earlier = {_key(found): value for found, value in self.before.select(name, **labels)}
        return sum(
            _grown(earlier.get(_key(found), 0.0), value) for found, value in self.after.select(name, **labels)
        )

    def rates_by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Rates by the values of a label, the highest first; those at 0 are left out."""
        rates = {
            value: self.rate(name, **{label: value}, **labels) for value in self.after.values_of(name, label)
        }
        return dict(sorted(((k, v) for k, v in rates.items() if v), key=lambda each: (-each[1], each[0])))

    def mean(self, histogram: str) -> float | None:
        """Of the observations between the scrapes."""
        count = self.increase(f"{histogram}_count")
        return self.increase(f"{histogram}_sum") / count if count else None

    def quantiles(self, histogram: str, **labels: str) -> Quantiles:
        """Of the observations between the scrapes, as precise as the buckets are."""
        bounds = self.after.values_of(f"{histogram}_bucket", "le")
        counts = {float(le): self.increase(f"{histogram}_bucket", le=le, **labels) for le in bounds}
        return Quantiles(*(quantile(share, counts) for share in (0.5, 0.95, 0.99)))


def quantile(share: float, counts: Mapping[float, float]) -> float | None:
    """The value that this share does not exceed, from the counts of buckets that include all lower ones.

    Within a bucket it takes the observations to be spread evenly; beyond the last bound it says that bound.
    """
    buckets = [(0.0, 0.0), *sorted(counts.items())]
    rank = share * buckets[-1][1]
    if not rank:
        return None
    for (low, below), (high, count) in pairwise(buckets):
        if count >= rank:
            return low if math.isinf(high) else low + (high - low) * (rank - below) / (count - below)
    return None


def _key(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _grown(before: float, after: float) -> float:
    return after - before if after >= before else after
