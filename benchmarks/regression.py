"""`python -m benchmarks.regression OLD.json NEW.json`: what has become slower from one commit to another.

Both files are of `make bench` or of `make bench-growth`, with the same settings on the same machine. Ratios
and CPU times are compared; throughput and latencies by the clock only if told so, as they move with whatever
else a machine does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.text import Text

from benchmarks.compare.client import BenchmarkError
from benchmarks.compare.figures import Figure
from benchmarks.compare.names import BASELINES
from benchmarks.compare.report import figures_from, read_report
from processor.cli.output import print_line, print_note, print_table

# What is better higher, and what is better lower.
_RISING: Final = frozenset(
    {
        "throughput_to_floor",
        "throughput_to_empty_handler",
        "throughput_to_row_at_a_time",
        "throughput_to_one_chain",
        "throughput_to_all_members",
        "throughput_to_smallest",
    }
)
_FALLING: Final = frozenset(
    {
        "server_us",
        "postgres_us",
        "cpu_to_floor",
        "cpu_to_smallest",
        "server_to_unary",
        "p50_to_transaction",
        "p99_to_p50",
        "resident_mib",
        "resident_growth",
        "failed_calls",
    }
)
_RISING_BY_CLOCK: Final = frozenset({"operations_per_second"})
_FALLING_BY_CLOCK: Final = frozenset({"p50_ms", "p99_ms", "call_p50_ms"})
# Two runs are of one kind if these are alike in both.
_ALIKE: Final = (
    ("kind",),
    ("settings",),
    ("machine", "cpu"),
    ("machine", "cores"),
    ("postgres", "fsync"),
    ("postgres", "synchronous_commit"),
)
_FAILING: Final = frozenset({"worse", "gone"})
_STYLES: Final = {"worse": "bold red", "gone": "bold red", "better": "green"}


class Change(NamedTuple):
    """What became of one figure; `worse_percent` is above zero if it is worse than it was, or gone."""

    subject: str
    name: str
    old: Figure
    new: Figure | None
    worse_percent: float

    def verdict(self, tolerance_percent: float) -> str:
        """Beyond the tolerance it is worse or better; what the service is measured by is neither."""
        if self.subject in BASELINES:
            return "reference"
        if self.new is None:
            return "gone"
        if self.worse_percent > tolerance_percent:
            return "worse"
        return "better" if self.worse_percent < -tolerance_percent else ""


def changes(old: Mapping[str, Any], new: Mapping[str, Any], *, by_clock: bool) -> Iterator[Change]:
    """Of every figure that the old report has. Raises BenchmarkError if they can't be compared."""
    _check_alike(old, new)
    for subject in old["figures"]:
        before, after = (figures_from(each["figures"].get(subject, {})) for each in (old, new))
        for name in before:
            direction = _direction(name, by_clock=by_clock)
            if direction:
                old_figure, new_figure = before[name], after.get(name)
                percent = _worse_percent(old_figure, new_figure, direction)
                yield Change(subject, name, old_figure, new_figure, percent)


def _worse_percent(old: Figure, new: Figure | None, direction: int) -> float:
    """What was nothing has no share that it could grow by: any growth is without bounds."""
    if new is None:
        return math.inf
    if not old.median:
        return direction * math.inf if new.median else 0.0
    return direction * (new.median / old.median - 1) * 100


def _check_alike(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for path in _ALIKE:
        before, after = _at(old, path), _at(new, path)
        if before != after:
            what = " ".join(path)
            raise BenchmarkError(f"these cannot be compared: {what} was {before} and is {after}")


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value[name]
    return value


def _direction(name: str, *, by_clock: bool) -> int:
    """1 if a figure that grows is worse, -1 if it is better, 0 if it is not compared."""
    if name in _FALLING or (by_clock and name in _FALLING_BY_CLOCK):
        return 1
    return -1 if name in _RISING or (by_clock and name in _RISING_BY_CLOCK) else 0


def command(
    old: Annotated[Path, typer.Argument(help="Figures of the commit before, by --json.")],
    new: Annotated[Path, typer.Argument(help="Figures of the commit after.")],
    *,
    tolerance_percent: Annotated[
        float, typer.Option(min=0, max=1_000, help="Change for the worse of a median that passes.")
    ] = 10.0,
    wall_time: Annotated[
        bool, typer.Option("--wall-time", help="Operations a second and latencies too.")
    ] = False,
) -> None:
    """Print the change of every figure.

    Exit status: 0 none is worse beyond the tolerance; 1 some are; 2 the files can't be compared.
    """
    found = list(changes(read_report(old), read_report(new), by_clock=wall_time))
    print_table(("subject", "figure", "#old", "#new", "#change", "verdict"), _rows(found, tolerance_percent))
    worse = sum(change.verdict(tolerance_percent) in _FAILING for change in found)
    print_line(f"{worse} of {len(found)} figures are worse by more than {tolerance_percent:g} %, or gone")
    raise typer.Exit(1 if worse else 0)


def _rows(found: Sequence[Change], tolerance_percent: float) -> Iterator[Sequence[object]]:
    for change in found:
        before, after = change.old.median, change.new.median if change.new else None
        verdict = change.verdict(tolerance_percent)
        yield (
            change.subject,
            change.name.replace("_", " "),
            f"{before:,.2f}",
            "-" if after is None else f"{after:,.2f}",
            f"{after / before - 1:+.1%}" if before and after is not None else "-",
            Text(verdict, style=_STYLES.get(verdict, "")),
        )


def main() -> None:
    """Run the command; what goes wrong is told in one line."""
    try:
        typer.run(command)
    except BenchmarkError as error:
        print_note(f"regression: {error}")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
