"""A report as one self-contained HTML file: tables, and charts if there is something to draw."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from benchmarks.compare.charts import batch_chart, cpu_chart, growth_chart, own_growth_chart, throughput_chart
from benchmarks.compare.names import BATCH
from benchmarks.compare.report import Report
from benchmarks.compare.tables import (
    Table,
    growth_table,
    main_table,
    others_table,
    remarks,
    sweep_table,
    target_table,
)

_PAGE: Final = "page.html"


class Chart(NamedTuple):
    """A picture with what to say about it."""

    title: str
    text: str
    svg: str


class TitledTable(NamedTuple):
    """A table with what to say about it."""

    title: str
    text: str
    table: Table


def write_page(report: Report, path: Path) -> None:
    """Write it; needs matplotlib."""
    environment = Environment(
        loader=PackageLoader("benchmarks.compare", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    judged = [each.is_met for each in report.judged if each.is_met is not None]
    page = environment.get_template(_PAGE).render(
        met=sum(judged),
        judged=len(judged),
        head=[_targets(report), _subjects(report)],
        charts=list(_charts(report)),
        rest=[titled for titled in _others(report) if titled.table.rows],
        remarks=list(remarks(report)),
    )
    path.write_text(page + "\n", "utf-8")


def _charts(report: Report) -> Iterator[Chart]:
    subjects = {name: each for name, each in report.figures.items() if "server_us" in each}
    if report.sweeps:
        yield Chart(
            "Throughput against latency",
            "Unary calls in a closed loop, 1 to 1,024 in flight: more of them move a point to the right.",
            throughput_chart(report.sweeps),
        )
    yield Chart(
        "CPU time of an operation",
        "Whose time it is; the client's is not the service's.",
        cpu_chart(subjects),
    )
    if report.sweeps:
        yield Chart(
            "Batch size against load",
            "A lane takes what has queued while it was busy, so batches grow by themselves.",
            batch_chart(report.sweeps),
        )
    yield _growth(report)


def _growth(report: Report) -> Chart:
    if report.growth:
        text = "Batches of 500 on ledgers of several sizes, beside the smallest."
        return Chart("Growth with rows", text, growth_chart(report.growth))
    text = "Batches of 500, round by round, on the run's own ledger; make bench-growth has larger ones."
    return Chart("Growth with rows", text, own_growth_chart(report.figures[BATCH]))


def _targets(report: Report) -> TitledTable:
    return TitledTable("Targets", "The median of the rounds against what is aimed for.", target_table(report))


def _subjects(report: Report) -> TitledTable:
    text = "Medians of the rounds, with half the distance of the extremes; CPU in microseconds an operation."
    return TitledTable("What was measured, in interleaved rounds", text, main_table(report))


def _others(report: Report) -> Iterator[TitledTable]:
    yield TitledTable("Beside the rounds", "What needs the service for itself.", others_table(report))
    yield TitledTable(
        "Load", "Unary calls, by the transport and how many are in flight.", sweep_table(report)
    )
    yield TitledTable("Growth", "Ledgers of several sizes, in a run of their own.", growth_table(report))
