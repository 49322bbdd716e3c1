"""What a growth run has found: a table for people, a file for machines and for the page of `make bench`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.compare.client import BenchmarkError
from benchmarks.compare.names import GROWTH
from benchmarks.compare.report import GrowthPoint, figures_as_json, figures_from, growth_ratios, read_report
from benchmarks.compare.tables import with_spread
from benchmarks.growth.run import Growth
from processor.cli.output import print_line, print_table

_KIND: Final = "growth"
_COLUMNS: Final = (
    ("#operations/s", "operations_per_second", ",.0f"),
    ("#to smallest", "throughput_to_smallest", ".2f"),
    ("#server us", "server_us", ",.1f"),
    ("#PostgreSQL us", "postgres_us", ",.1f"),
    ("#CPU to smallest", "cpu_to_smallest", ".2f"),
)
_NOT_VERIFIED: Final = "verify was not run: the rows that were there before have no hash chain"


def print_growth(growth: Growth) -> None:
    """On standard output."""
    headings = ("#rows", "#members", *(heading for heading, _, _ in _COLUMNS))
    print_table(headings, [_row(point) for point in growth.points])
    for values in (growth.machine | growth.postgres, growth.settings):
        print_line(", ".join(f"{name} {value}" for name, value in values.items()))
    print_line(_NOT_VERIFIED)


def write_growth(growth: Growth, path: Path) -> None:
    """With every round of every figure."""
    points = [_point_as_json(point) for point in growth.points]
    value: dict[str, Any] = {"kind": _KIND, **growth._asdict(), "points": points}
    value["figures"] = {
        GROWTH: figures_as_json(growth_ratios(growth.points)),
        **{f"{point['rows']:,} rows": point["figures"] for point in points},
    }
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


class Grown(NamedTuple):
    """What an earlier run has found; `origin` says of what code, when, and with what memory."""

    points: list[GrowthPoint]
    origin: str


def read_growth(path: Path) -> Grown:
    """What `write_growth` has written. Raises BenchmarkError."""
    value = read_report(path)
    if value["kind"] != _KIND:
        raise BenchmarkError(f"{path} is of no growth run: name a file of `make bench-growth`")
    points = [
        GrowthPoint(point["rows"], point["members"], figures_from(point["figures"]))
        for point in value["points"]
    ]
    return Grown(points, _origin(value["machine"], value["postgres"]))


def _origin(machine: Mapping[str, object], postgres: Mapping[str, object]) -> str:
    known = {name: machine.get(name, "unknown") for name in ("commit", "taken_at", "compiled")}
    known["shared_buffers"] = postgres["shared_buffers"]
    told = ", ".join(f"{name} {value}" for name, value in known.items())
    return f"growth is of a run of its own: {told}"


def _row(point: GrowthPoint) -> list[str]:
    cells = [with_spread(point.figures[name], form) for _, name, form in _COLUMNS]
    return [f"{point.rows:,}", f"{point.members:,}", *cells]


def _point_as_json(point: GrowthPoint) -> dict[str, Any]:
    return {**point._asdict(), "figures": figures_as_json(point.figures)}
