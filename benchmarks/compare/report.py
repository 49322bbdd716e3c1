"""What a comparison has found, as a file for machines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.compare.client import BenchmarkError
from benchmarks.compare.figures import Figure, Figures
from benchmarks.compare.names import GROWTH
from benchmarks.compare.targets import Judged, judge
from benchmarks.compare.tracing import TracingCosts

_KIND: Final = "comparison"
_PARTS: Final = {"kind", "machine", "postgres", "settings", "figures"}


class GrowthPoint(NamedTuple):
    """What a ledger of some size has come to, in another run."""

    rows: int
    members: int
    figures: Figures


class Report(NamedTuple):
    """`figures` by subject, `sweeps` by transport and the calls in flight; `settings` are those of the run.

    `notes` tell what could not be measured, and why; `parts_seconds` how long the run's parts have taken.
    """

    machine: Mapping[str, object]
    postgres: Mapping[str, str]
    settings: Mapping[str, object]
    figures: Mapping[str, Figures]
    sweeps: Mapping[str, Mapping[str, Figures]]
    growth: Sequence[GrowthPoint]
    tracing_us: TracingCosts
    notes: Sequence[str]
    verified: bool
    parts_seconds: Mapping[str, float]

    @property
    def judged(self) -> list[Judged]:
        """The targets, and whether they are met."""
        return judge(self.figures)


def with_growth(report: Report, points: Sequence[GrowthPoint], origin: str) -> Report:
    """The report with that of a growth run, of which the largest ledger counts, and of what it is."""
    figures = {**report.figures, GROWTH: growth_ratios(points)}
    return report._replace(growth=points, figures=figures, notes=[*report.notes, origin])


def growth_ratios(points: Sequence[GrowthPoint]) -> Figures:
    """The largest ledger beside the smallest."""
    return {name: each for name, each in points[-1].figures.items() if name.endswith("_to_smallest")}


def write_json(report: Report, path: Path) -> None:
    """The whole report, with every round of every figure."""
    whole = {
        "kind": _KIND,
        **report._asdict(),
        "figures": as_json(report.figures),
        "sweeps": {transport: as_json(sweep) for transport, sweep in report.sweeps.items()},
        "growth": [{**point._asdict(), "figures": figures_as_json(point.figures)} for point in report.growth],
        "tracing_us": report.tracing_us._asdict(),
        "targets": [_judged_as_json(each) for each in report.judged],
    }
    path.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")


def as_json(subjects: Mapping[str, Figures]) -> dict[str, Any]:
    """The figures of all subjects, in the form that `figures_from` reads."""
    return {subject: figures_as_json(figures) for subject, figures in subjects.items()}


def figures_as_json(figures: Figures) -> dict[str, Any]:
    """The figures of one."""
    return {name: figure._asdict() for name, figure in figures.items()}


def figures_from(value: Mapping[str, Any]) -> Figures:
    """The figures of one, as they were written."""
    return {name: Figure(**figure) for name, figure in value.items()}


def read_report(path: Path) -> dict[str, Any]:
    """What `--json` has written. Raises BenchmarkError."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from None
    if not isinstance(value, dict) or not value.keys() >= _PARTS:
        raise BenchmarkError(f"{path} is no report: name a file that --json has written")
    return value


def _judged_as_json(judged: Judged) -> dict[str, object]:
    target, figure, is_met = judged
    return {**target._asdict(), "median": figure.median if figure else None, "is_met": is_met}
