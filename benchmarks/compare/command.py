"""`make bench`: the options, and what comes out."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.compare.client import BenchmarkError
from benchmarks.compare.printing import print_report
from benchmarks.compare.report import with_growth, write_json
from benchmarks.compare.run import run_comparison
from benchmarks.compare.settings import Settings
from benchmarks.growth.report import read_growth
from processor.cli.errors import CommandError
from processor.domain.failures import StorageFailure
from storage.embedded import EmbeddedPostgresError

_MEMBERS: Final = 1_000_000
_ROUNDS: Final = 5
_SECONDS: Final = 1.5
_QUICK_MEMBERS: Final = 100_000
_QUICK_ROUNDS: Final = 3
_QUICK_SECONDS: Final = 0.3

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def compare(
    *,
    members: Annotated[
        int | None,
        typer.Option(
            min=1_000, max=5_000_000, help=f"Of a chain. [default: {_MEMBERS}; quick {_QUICK_MEMBERS}]"
        ),
    ] = None,
    zipf: Annotated[
        float, typer.Option(min=0, max=3, help="Exponent of Zipf's law for members; 0: all alike.")
    ] = 0.0,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, max=100, help=f"Rounds that count. [default: {_ROUNDS}; quick: {_QUICK_ROUNDS}]"),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=600,
            help=f"One run, a third more if slow. [default: {_SECONDS}; quick: {_QUICK_SECONDS}]",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Workers of the service.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="About a minute, without what takes long.")] = False,
    overload_times: Annotated[
        int, typer.Option(min=1, max=100, help="Times of what a worker takes on, in the overload.")
    ] = 10,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", dir_okay=False, help="Write all figures here.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Write a page with charts.")
    ] = None,
    growth_file: Annotated[
        Path | None,
        typer.Option(
            "--growth", metavar="FILE", exists=True, dir_okay=False, help="Figures of `make bench-growth`."
        ),
    ] = None,
) -> None:
    """Measure PostgreSQL's floor, baselines and the service, in interleaved rounds of one run.

    Exit status: 0 measured, whether or not targets are met; 1 `verify` found the ledger wrong; 2 it could not
    be done.
    """
    if html_file and find_spec("matplotlib") is None:
        raise BenchmarkError("--html needs matplotlib: run this by `make bench`, which installs it")
    growth = read_growth(growth_file) if growth_file else None
    seconds = seconds or (_QUICK_SECONDS if quick else _SECONDS)
    members = members or (_QUICK_MEMBERS if quick else _MEMBERS)
    rounds = rounds or (_QUICK_ROUNDS if quick else _ROUNDS)
    report = run_comparison(Settings(members, zipf, rounds, seconds, workers, quick, overload_times))
    if growth:
        report = with_growth(report, growth.points, growth.origin)
    print_report(report)
    if json_file:
        write_json(report, json_file)
    if html_file:
        from benchmarks.compare.page import write_page

        write_page(report, html_file)
    raise typer.Exit(0 if report.verified else 1)


def main() -> None:
    """Run the command; what goes wrong is told in one line."""
    try:
        app(prog_name="make bench ARGS=")
    except (BenchmarkError, CommandError, EmbeddedPostgresError, StorageFailure) as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", markup=False, soft_wrap=True)
        raise SystemExit(2) from None
