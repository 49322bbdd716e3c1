"""The figures of a comparison, for people and for machines."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.compare.figures import BASKET, RICH, TRACED, UNTRACED, Figure, Figures
from benchmarks.compare.tracing import SAMPLE_RATIO, TracingCosts

# Lines that a program reads must not be broken at the width of a terminal that is not there.
_PIPED_COLUMNS = 200
_NONE = "-"


class Report(NamedTuple):
    """`figures` by subject; `settings` are those of the run."""

    machine: Mapping[str, object]
    postgres: Mapping[str, str]
    settings: Mapping[str, object]
    figures: Mapping[str, Figures]
    tracing_us: TracingCosts
    verified: bool


def write_json(report: Report, path: Path) -> None:
    """The whole report, with every round of every figure."""
    subjects = {
        subject: {name: figure._asdict() for name, figure in figures.items()}
        for subject, figures in report.figures.items()
    }
    whole = {**report._asdict(), "figures": subjects, "tracing_us": report.tracing_us._asdict()}
    path.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")


def print_report(report: Report) -> None:
    """A table on standard output, and what to know about it."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_COLUMNS
    console.print(_table(report.figures))
    for line in _rules_lines(report.figures):
        console.print(line)
    for line in _tracing_lines(report.figures, report.tracing_us):
        console.print(line)
    console.print(
        ", ".join(f"{name} {value}" for name, value in {**report.machine, **report.postgres}.items())
    )
    console.print(", ".join(f"{name} {value}" for name, value in report.settings.items()))
    console.print(f"verify: {'clean' if report.verified else 'NOT CLEAN'}")


def _rules_lines(figures: Mapping[str, Figures]) -> Iterator[str]:
    """What the rules of a rich program cost the server, beside a plain accrual."""
    for subject in (RICH, BASKET):
        ratio = _with_spread(figures[subject]["server_to_unary"], ".2f")
        yield f"server CPU of {subject}, to that of unary: {ratio}"


def _tracing_lines(figures: Mapping[str, Figures], costs: TracingCosts) -> Iterator[str]:
    """What tracing costs: the two servers as they are accounted for, and its own calls alone."""
    ratio = _with_spread(figures[TRACED]["server_to_unary"], ".2f")
    yield f"server CPU with tracing of {SAMPLE_RATIO:.0%} of the unary calls, to that without: {ratio}"
    server_us, batch_ops = (figures[UNTRACED][name].median for name in ("server_us", "batch_ops"))
    for state, cost_us in (
        ("off", costs.off_us(batch_ops)),
        (f"of {SAMPLE_RATIO:.0%}", costs.on_us(batch_ops)),
    ):
        share = cost_us / server_us
        yield f"calls of tracing, {state}: {cost_us:.2f} us, {share:.2%} of the server CPU of a unary call"


def _table(figures: Mapping[str, Figures]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    table.add_column("median (lowest - highest round)")
    for heading in (
        "operations/s",
        "to the floor",
        "to empty",
        "server us",
        "PostgreSQL us",
        "client us",
        "CPU to the floor",
        "batch",
    ):
        table.add_column(heading, justify="right")
    for subject, columns in figures.items():
        table.add_row(subject, *_cells(columns))
    return table


def _cells(figures: Figures) -> list[str]:
    return [
        _with_spread(figures.get("operations_per_second"), ",.0f"),
        _with_spread(figures.get("throughput_to_floor"), ".2f"),
        _with_spread(figures.get("throughput_to_empty_handler"), ".2f"),
        _median(figures.get("server_us")),
        _median(figures.get("postgres_us")),
        _median(figures.get("client_us")),
        _with_spread(figures.get("cpu_to_floor"), ".2f"),
        _median(figures.get("batch_ops")),
    ]


def _median(figure: Figure | None) -> str:
    return f"{figure.median:,.1f}" if figure else _NONE


def _with_spread(figure: Figure | None, form: str) -> str:
    return f"{figure.median:{form}} ({figure.low:{form}} - {figure.high:{form}})" if figure else _NONE
