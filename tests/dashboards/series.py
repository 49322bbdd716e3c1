"""What Prometheus answers to a panel's queries, as Grafana would draw it."""

import re
from typing import Any, Final, NamedTuple

from tests.alerts.prometheus import Prometheus
from tests.dashboards.dashboards import fill

_POINTS: Final = 180


class Span(NamedTuple):
    """What is drawn, in unix seconds."""

    start: float
    end: float

    @property
    def step_seconds(self) -> float:
        """Between two points."""
        return max((self.end - self.start) / _POINTS, 1)


class Series(NamedTuple):
    """A line: its name in the legend, and its points as (seconds since the start, value)."""

    name: str
    points: list[tuple[float, float]]

    @property
    def seconds(self) -> list[float]:
        """Of each point, since the start."""
        return [at for at, _ in self.points]

    @property
    def values(self) -> list[float]:
        """Of each point."""
        return [value for _, value in self.points]

    @property
    def last(self) -> float:
        """The value that a figure shows."""
        return self.points[-1][1]


def series_of(prometheus: Prometheus, panel: dict[str, Any], span: Span) -> list[Series]:
    """All lines of a panel."""
    found = []
    for target in panel["targets"]:
        answer = prometheus.query_range(fill(target["expr"]), span.start, span.end, span.step_seconds)
        found += [
            Series(_name(target["legendFormat"], each["metric"]), _points(each, span)) for each in answer
        ]
    return [series for series in found if series.points]


def _name(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend)


def _points(answer: dict[str, Any], span: Span) -> list[tuple[float, float]]:
    return [(at - span.start, float(value)) for at, value in answer["values"] if value != "NaN"]
