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
# A share that may be below zero, which is as good as zero: what counts is how many hundredths come to it.
_BY_DIFFERENCE: Final = frozenset({"resident_growth"})
_RISING_BY_CLOCK: Final = frozenset({"operations_per_second"})
_FALLING_BY_CLOCK: Final = frozenset({"p50_ms", "p99_ms", "call_p50_ms"})
# Two runs are of one kind if these are alike in both.
_ALIKE: Final = (
    ("kind",),
    ("settings",),
    ("machine", "cpu"),
    ("machine", "cores"),
    ("machine", "python"),
    ("machine", "compiled"),
    ("postgres", "fsync"),
    ("postgres", "synchronous_commit"),
    ("postgres", "server_version"),
    ("postgres", "shared_buffers"),
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

    @property
    def text(self) -> str:
        """The change itself, better or worse."""
        if self.new is None:
            return "-"
        if self.name in _BY_DIFFERENCE:
            return f"{self.new.median - self.old.median:+.3f}"
        return f"{self.new.median / self.old.median - 1:+.1%}" if self.old.median else "-"

    def verdict(self, tolerance_percent: float) -> str:
        """Beyond the tolerance it is worse or better; what the service is measured by is neither.

        It varies if that is not beyond what a round of the old run has come to by itself.
        """
        if self.subject in BASELINES:
            return "reference"
        if self.new is None:
            return "gone"
        if abs(self.worse_percent) <= tolerance_percent:
            return ""
        if self.old.low <= self.new.median <= self.old.high:
            return "varies"
        return "worse" if self.worse_percent > 0 else "better"


def changes(old: Mapping[str, Any], new: Mapping[str, Any], *, by_clock: bool) -> Iterator[Change]:
    """Of every figure that the old report has. Raises BenchmarkError if they can't be compared."""
    _check_alike(old, new)
    for subject in old["figures"]:
        before, after = (figures_from(each["figures"].get(subject, {})) for each in (old, new))
        for name in before:
            direction = _direction(name, by_clock=by_clock)
            if direction:
                old_figure, new_figure = before[name], after.get(name)
                percent = direction * _grown_percent(name, old_figure, new_figure) if new_figure else math.inf
                yield Change(subject, name, old_figure, new_figure, percent)


def _grown_percent(name: str, old: Figure, new: Figure) -> float:
    """What was nothing has no share that it could grow by: any growth is without bounds."""
    if name in _BY_DIFFERENCE:
        return (max(new.median, 0) - max(old.median, 0)) * 100
    if not old.median:
        return math.copysign(math.inf, new.median) if new.median else 0.0
    return (new.median / old.median - 1) * 100


def _check_alike(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for path in _ALIKE:
        for what, before, after in _unlike(" ".join(path), _at(old, path), _at(new, path)):
            raise BenchmarkError(f"these cannot be compared: {what} was {before} and is {after}")


def _unlike(what: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """What differs, by name if it has names."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from _unlike(f"{what}: {name}", before.get(name), after.get(name))
    elif before != after:
        yield what, before, after


def _at(value: Any, path: Sequence[str]) -> Any:
    """None where a report of older code has nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
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
    before, after = read_report(old), read_report(new)
    found = list(changes(before, after, by_clock=wall_time))
    print_line(f"from {_named(before)} to {_named(after)}")
    print_table(("subject", "figure", "#old", "#new", "#change", "verdict"), _rows(found, tolerance_percent))
    worse = sum(change.verdict(tolerance_percent) in _FAILING for change in found)
    print_line(f"{worse} of {len(found)} figures are worse by more than {tolerance_percent:g} %, or gone")
    raise typer.Exit(1 if worse else 0)


def _named(report: Mapping[str, Any]) -> str:
    """The commit, and when it was measured, as far as the report has them."""
    commit, taken_at = (_at(report, ("machine", name)) or "unknown" for name in ("commit", "taken_at"))
    return f"{commit} ({taken_at})"


def _rows(found: Sequence[Change], tolerance_percent: float) -> Iterator[Sequence[object]]:
    for change in found:
        before, after = change.old.median, change.new.median if change.new else None
        verdict = change.verdict(tolerance_percent)
        yield (
            change.subject,
            change.name.replace("_", " "),
            f"{before:,.2f}",
            "-" if after is None else f"{after:,.2f}",
            change.text,
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
