"""What a comparison is told as: tables in the terminal, and one page that needs nothing but itself."""

import re
from pathlib import Path

import pytest

from benchmarks.compare.figures import Figures, figure
from benchmarks.compare.markdown import markdown
from benchmarks.compare.names import TRACED
from benchmarks.compare.printing import print_report
from benchmarks.compare.report import GrowthPoint, Report, with_growth, write_json
from benchmarks.compare.tables import main_table, target_table
from benchmarks.compare.tracing import TracingCosts

CHARTS = {
    *("Throughput against latency", "CPU time of an operation"),
    *("Batch size against load", "Growth with rows"),
}


def figures(**values: float) -> Figures:
    return {name: each for name, value in values.items() if (each := figure([value, value * 1.5]))}


def subject() -> Figures:
    return figures(
        operations_per_second=5_000,
        server_us=300,
        postgres_us=90,
        client_us=10,
        cpu_to_floor=1.2,
        throughput_to_floor=0.7,
        throughput_to_empty_handler=12.5,
        server_to_unary=1.5,
        batch_ops=30,
        ledger_rows=100_000,
        p50_ms=10,
        p99_ms=30,
    )


def quick_report() -> Report:
    """Without all that `--quick` leaves out."""
    machine, postgres = {"cpu": "one", "cores": 2}, {"fsync": "on"}
    found = {name: subject() for name in ("floor", "unary", "batch of 500", "checkout, 30 lines, rich")}
    found["one call at a time"] = figures(p50_to_transaction=2.0)
    found[TRACED] = subject()
    costs = TracingCosts(0.5, 1.0, 1.7, 4.0, 570.0)
    notes, seconds = ("<a note>",), {"rounds": 300.4, "verify": 20.4}
    return Report(machine, postgres, {"members": 1_000}, found, {}, (), costs, notes, True, seconds)


def full_report() -> Report:
    sweep = {"1": subject(), "512": subject()}
    report = quick_report()._replace(sweeps={"grpcio": sweep, "native": sweep})
    ratios = figures(throughput_to_smallest=1.0, cpu_to_smallest=1.0)
    points = [GrowthPoint(rows, rows // 10, subject() | ratios) for rows in (1_000, 50_000)]
    return with_growth(report, points, "<of another run>")


def test_the_tables_fit_on_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(full_report())

    tables = capsys.readouterr().out.partition("cpu one")[0]
    assert max(map(len, tables.splitlines())) <= 120


@pytest.mark.parametrize("report", [quick_report(), full_report()], ids=["quick", "full"])
def test_a_document_has_a_row_for_each_subject_target_and_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], report: Report
) -> None:
    file = tmp_path / "bench.json"
    write_json(report, file)

    markdown(file)

    subjects, targets, load = capsys.readouterr().out.strip("\n").split("\n\n")
    assert "| unary | 6,250 | 0.88 (0.70 - 1.05) | 15.62 (12.50 - 18.75) | 375 | 112 | 12.5 |" in subjects
    assert "| 200 chains: throughput to one chain's: at least 0.6 | - | not measured |" in targets
    assert "| batch of 500: CPU to the floor's: at most 1.6 | 1.50 (1.20 - 1.80) | met |" in targets
    assert [row.split(" | ")[0] for row in load.splitlines()[2:]] == (
        ["| 1", "| 512"] if report.sweeps else []
    )


def test_a_target_is_met_missed_or_not_measured() -> None:
    rows = {name: met for name, _, _, met in target_table(full_report()).rows}

    assert rows["batch of 500: CPU to the floor's"] == "yes"
    assert rows["idle, grpcio: p50 of a call to its transaction's"] == "yes"
    assert rows["unary, native: throughput to an empty handler's"] == "not measured"
    assert rows["largest ledger: throughput to the smallest's"] == "yes"
    missed = quick_report()
    missed.figures["batch of 500"].update(figures(cpu_to_floor=1.7))
    assert {name: met for name, _, _, met in target_table(missed).rows}[
        "batch of 500: CPU to the floor's"
    ] == "NO"


def test_the_spread_stands_beside_the_median() -> None:
    [floor, *_] = main_table(quick_report()).rows

    assert floor[1] == "6,250 ±20%"


def test_it_tells_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(quick_report())

    assert "took 5 min 21 s, in seconds: rounds 300, verify 20\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "report, charts",
    [
        (quick_report(), {"CPU time of an operation", "Growth with rows"}),
        (full_report()._replace(growth=()), CHARTS),
        (full_report(), CHARTS),
    ],
)
def test_the_page_needs_nothing_but_itself(tmp_path: Path, report: Report, charts: set[str]) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.compare.page import write_page

    write_page(report, tmp_path / "page.html")

    page = (tmp_path / "page.html").read_text()
    assert {title for title in CHARTS if title in page} == charts
    assert page.count("<svg") == len(charts)
    assert not re.search(r"(src|href)=.(https?:)?//", page)
    assert "&lt;a note&gt;" in page
