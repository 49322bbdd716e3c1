"""One reading of a server's /metrics."""

import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Final, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_SECONDS: Final = 5.0
# Every server of ours exports it, whatever else it does.
_OURS: Final = "loyalty_workers"

Labels = Mapping[str, str]


class ScrapeError(Exception):
    """A server's metrics can't be had; the text is one line that says why and what to change."""


class Scrape(NamedTuple):
    """All samples by name, and when they were read, in seconds of a clock that never jumps."""

    at_seconds: float
    samples: Mapping[str, list[tuple[Labels, float]]]

    def select(self, name: str, **labels: str) -> Iterator[tuple[Labels, float]]:
        """The samples of that name that have these labels."""
        for found, value in self.samples.get(name, ()):
            if labels.items() <= found.items():
                yield found, value

    def sum(self, name: str, **labels: str) -> float:
        """Of those samples; 0 if there are none."""
        return sum(value for _, value in self.select(name, **labels))

    def value(self, name: str) -> float | None:
        """Of the only sample; None if there is none."""
        return next((value for _, value in self.select(name)), None)

    def values_of(self, name: str, label: str) -> set[str]:
        """Every value that the label has in samples of that name."""
        return {labels[label] for labels, _ in self.select(name)}

    def split(self, label: str) -> dict[str, "Scrape"]:
        """By the values of a label: the samples that have it."""
        parts: dict[str, dict[str, list[tuple[Labels, float]]]] = {}
        for name, samples in self.samples.items():
            for labels, value in samples:
                if label in labels:
                    parts.setdefault(labels[label], {}).setdefault(name, []).append((labels, value))
        return {value: Scrape(self.at_seconds, part) for value, part in parts.items()}


def fetch(url: str) -> Scrape:
    """Read them. Raises ScrapeError."""
    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - an operator names the URL
            text = response.read().decode()
    except HTTPError as error:
        error.close()
        raise ScrapeError(f"{url} answers {error.code} {error.reason}: name a server's /metrics") from None
    except (OSError, HTTPException, ValueError) as error:
        raise ScrapeError(f"{url} can't be read: {_reason(error)}; is a server running there?") from None
    return parse(text, url)


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    return getattr(cause, "strerror", None) or str(cause)


def parse(text: str, source: str) -> Scrape:
    """A scrape of this text. Raises ScrapeError if it comes from something else."""
    samples: dict[str, list[tuple[Labels, float]]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    except ValueError:
        samples.clear()
    if _OURS not in samples:
        raise ScrapeError(f"{source} answers, but not as a loyalty-processor: name a server's /metrics")
    return Scrape(time.monotonic(), samples)
