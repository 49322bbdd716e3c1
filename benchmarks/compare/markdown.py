"""The tables of docs/performance.md, of a comparison: `python -m benchmarks.compare.markdown bench.json`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from benchmarks.compare.client import BenchmarkError
from benchmarks.compare.figures import Figure, Figures
from benchmarks.compare.report import figures_from, read_report
from benchmarks.compare.targets import Judged, judge

# Heading, figure, and with how many digits the lowest and the highest round are told, 0 if they are not.
_Column = tuple[str, str, int]
_SUBJECTS: Final[Sequence[_Column]] = (
    ("operations/s", "operations_per_second", 0),
    ("to the floor", "throughput_to_floor", 2),
    ("to empty", "throughput_to_empty_handler", 2),
    ("server us", "server_us", 0),
    ("PostgreSQL us", "postgres_us", 0),
    ("client us", "client_us", 0),
    ("CPU to the floor", "cpu_to_floor", 1),
    ("batch", "batch_ops", 0),
)
_LOAD: Final[Sequence[_Column]] = (
    ("calls/s", "operations_per_second", 0),
    ("p50 ms", "p50_ms", 0),
    ("batch", "batch_ops", 0),
    ("server us", "server_us", 0),
)
_NONE: Final = "-"


def markdown(
    figures_file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Of `make bench`: its JSON.")
    ],
) -> None:
    """Print the tables of a comparison as a document has them."""
    try:
        report = read_report(figures_file)
    except BenchmarkError as error:
        raise typer.BadParameter(str(error)) from None
    figures = {name: figures_from(each) for name, each in report["figures"].items()}
    sweeps = report.get("sweeps", {})
    typer.echo("\n\n".join((_subjects(figures), _targets(judge(figures)), _load(sweeps))))


def _subjects(figures: Mapping[str, Figures]) -> str:
    measured = {name: each for name, each in figures.items() if "operations_per_second" in each}
    rows = [(name, *_cells(each, _SUBJECTS)) for name, each in measured.items()]
    return _table(("subject", *(heading for heading, _, _ in _SUBJECTS)), rows)


def _targets(judged: Iterable[Judged]) -> str:
    return _table(("target", "measured", ""), [_target(each) for each in judged])


def _target(judged: Judged) -> Sequence[str]:
    target, figure, is_met = judged
    bound = f"{target.name}: {'at most' if target.is_at_most else 'at least'} {target.bound:g}"
    return bound, _range(figure, 2), {None: "not measured", True: "met", False: "**not met**"}[is_met]


def _load(sweeps: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each number of calls under way, with the transports beside each other."""
    headings = [
        f"{heading} {transport}" if heading == "calls/s" else heading
        for transport in sweeps
        for heading, _, _ in _LOAD
    ]
    numbers = dict.fromkeys(number for sweep in sweeps.values() for number in sweep)
    rows = [(number, *_beside_each_other(sweeps, number)) for number in numbers]
    return _table(("in flight", *headings), rows)


def _beside_each_other(sweeps: Mapping[str, Mapping[str, Any]], number: str) -> Iterator[str]:
    for sweep in sweeps.values():
        yield from _cells(figures_from(sweep.get(number, {})), _LOAD)


def _cells(figures: Figures, columns: Iterable[_Column]) -> Iterator[str]:
    for _, name, range_digits in columns:
        figure = figures.get(name)
        yield _range(figure, range_digits) if range_digits else _median(figure)


def _range(figure: Figure | None, digits: int) -> str:
    """The median, and the lowest and the highest of several rounds."""
    if figure is None or len(figure.rounds) == 1:
        return _median(figure)
    return f"{figure.median:.{digits}f} ({figure.low:.{digits}f} - {figure.high:.{digits}f})"


def _median(figure: Figure | None) -> str:
    return _NONE if figure is None else _number(figure.median)


def _number(value: float) -> str:
    """To about three digits."""
    if abs(value) >= 20:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    # A rule has no blanks beside it.
    return "\n".join(
        "|" + "|".join(row) + "|" if row[0] == "---" else f"| {' | '.join(row)} |" for row in lines
    )


if __name__ == "__main__":
    typer.run(markdown)
