"""The tables of docs/performance.md, of a comparison: `python -m benchmarks.compare.markdown bench.json`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from benchmarks.compare.figures import Figures
from benchmarks.compare.report import figures_from, read_report
from benchmarks.compare.targets import Judged, judge

# Heading, figure, and whether the lowest and the highest round are told.
_SUBJECTS: Final = (
    ("operations/s", "operations_per_second", False),
    ("to the floor", "throughput_to_floor", True),
    ("to empty", "throughput_to_empty_handler", True),
    ("server us", "server_us", False),
    ("PostgreSQL us", "postgres_us", False),
    ("client us", "client_us", False),
    ("CPU to the floor", "cpu_to_floor", True),
    ("batch", "batch_ops", False),
)
_LOAD: Final = (
    ("calls/s", "operations_per_second", False),
    ("p50 ms", "p50_ms", False),
    ("batch", "batch_ops", False),
    ("server us", "server_us", False),
)
_NONE: Final = "-"


def markdown(
    figures_file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Of `make bench`: its JSON.")
    ],
) -> None:
    """Print the tables of a comparison as a document has them."""
    report = read_report(figures_file)
    figures = {name: figures_from(each) for name, each in report["figures"].items()}
    typer.echo("\n\n".join((_subjects(figures), _targets(judge(figures)), _load(report["sweeps"]))))


def _subjects(figures: Mapping[str, Figures]) -> str:
    measured = {name: each for name, each in figures.items() if "operations_per_second" in each}
    rows = [(name, *_cells(each, _SUBJECTS)) for name, each in measured.items()]
    return _table(("subject", *(heading for heading, _, _ in _SUBJECTS)), rows)


def _targets(judged: Iterable[Judged]) -> str:
    return _table(("target", "measured", ""), [_target(each) for each in judged])


def _target(judged: Judged) -> Sequence[str]:
    target, figure, is_met = judged
    bound = f"{target.name}: {'at most' if target.is_at_most else 'at least'} {target.bound:g}"
    measured = _cell({"it": figure} if figure else {}, "it", has_range=True)
    return bound, measured, {None: "not measured", True: "met", False: "**not met**"}[is_met]


def _load(sweeps: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each number of calls under way, with the transports beside each other."""
    headings = [
        f"{heading} {transport}" if heading == "calls/s" else heading
        for transport in sweeps
        for heading, _, _ in _LOAD
    ]
    rows = [
        (
            in_flight,
            *(cell for sweep in sweeps.values() for cell in _cells(figures_from(sweep[in_flight]), _LOAD)),
        )
        for in_flight in next(iter(sweeps.values()), {})
    ]
    return _table(("in flight", *headings), rows)


def _cells(figures: Figures, columns: Iterable[tuple[str, str, bool]]) -> Iterator[str]:
    for _, figure, has_range in columns:
        yield _cell(figures, figure, has_range=has_range)


def _cell(figures: Figures, name: str, *, has_range: bool) -> str:
    """The median, and for a ratio the lowest and the highest round."""
    figure = figures.get(name)
    if figure is None:
        return _NONE
    if not has_range:
        return _number(figure.median)
    if len(figure.rounds) == 1:
        return f"{figure.median:.2f}" if figure.median < 10 else _number(figure.median)
    digits = 1 if name == "cpu_to_floor" else 2
    return f"{figure.median:.{digits}f} ({figure.low:.{digits}f} - {figure.high:.{digits}f})"


def _number(value: float) -> str:
    """To about three digits."""
    if value >= 20:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    # A rule has no blanks beside it.
    return "\n".join(
        "|" + "|".join(row) + "|" if row[0] == "---" else f"| {' | '.join(row)} |" for row in lines
    )


if __name__ == "__main__":
    typer.run(markdown)
