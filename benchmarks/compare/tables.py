"""The tables of a report: rows of text, for the terminal and for the page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from benchmarks.compare.figures import Figure, Figures
from benchmarks.compare.names import BASKET, RICH, TRACED, UNARY
from benchmarks.compare.report import Report
from benchmarks.compare.targets import Judged, Target
from benchmarks.compare.tracing import SAMPLE_RATIO

NONE: Final = "-"


class Table(NamedTuple):
    """The first column is text, the others are numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class _Column(NamedTuple):
    heading: str
    figure: str
    form: str
    has_spread: bool


_THROUGHPUT: Final = (
    _Column("operations/s", "operations_per_second", ",.0f", has_spread=True),
    _Column("to floor", "throughput_to_floor", ".2f", has_spread=True),
    _Column("to empty", "throughput_to_empty_handler", ".2f", has_spread=True),
    _Column("server", "server_us", ",.1f", has_spread=False),
    _Column("PostgreSQL", "postgres_us", ",.1f", has_spread=False),
    _Column("client", "client_us", ",.1f", has_spread=False),
    _Column("CPU to floor", "cpu_to_floor", ".2f", has_spread=True),
    _Column("batch", "batch_ops", ",.0f", has_spread=False),
)
_SWEEP: Final = (
    _Column("operations/s", "operations_per_second", ",.0f", has_spread=True),
    _Column("p50 ms", "p50_ms", ",.2f", has_spread=True),
    _Column("p99 ms", "p99_ms", ",.2f", has_spread=True),
    _Column("batch", "batch_ops", ",.1f", has_spread=True),
    _Column("server", "server_us", ",.1f", has_spread=False),
    _Column("PostgreSQL", "postgres_us", ",.1f", has_spread=False),
)


def main_table(report: Report) -> Table:
    """The subjects of the rounds."""
    subjects = {name: each for name, each in report.figures.items() if "operations_per_second" in each}
    return _table("median ±spread, CPU us", _THROUGHPUT, subjects)


def sweep_table(report: Report) -> Table:
    """Unary calls, by transport and how many are in flight."""
    rows = {
        f"{transport}, {in_flight}": each
        for transport, sweep in report.sweeps.items()
        for in_flight, each in sweep.items()
    }
    return _table("in flight", _SWEEP, rows)


def growth_table(report: Report) -> Table:
    """A ledger of some size, by its rows and members."""
    sizes = {f"{point.rows:,} rows, {point.members:,} members": point.figures for point in report.growth}
    return _table("size", (*_THROUGHPUT[:1], *_THROUGHPUT[3:6]), sizes)


def target_table(report: Report) -> Table:
    """The targets with their figures."""
    return Table(("figure", "measured", "target", "met"), [_judged_row(each) for each in report.judged])


def others_table(report: Report) -> Table:
    """What was measured after the rounds: any figure of any subject."""
    subjects = {name: each for name, each in report.figures.items() if "operations_per_second" not in each}
    rows = [
        (f"{subject}: {name.replace('_', ' ')}", with_spread(figure, ",.2f"))
        for subject, figures in subjects.items()
        for name, figure in figures.items()
    ]
    return Table(("beside the rounds", "measured"), rows)


def remarks(report: Report) -> Iterator[str]:
    """What rules and tracing cost, and what there is to know of the run."""
    yield from _rules_remarks(report.figures)
    yield from _tracing_remarks(report)
    yield from report.notes
    yield ", ".join(f"{name} {value}" for name, value in {**report.machine, **report.postgres}.items())
    yield ", ".join(f"{name} {value}" for name, value in report.settings.items())
    yield _duration(report.parts_seconds)
    yield f"verify: {'clean' if report.verified else 'NOT CLEAN'}"


def _duration(parts_seconds: Mapping[str, float]) -> str:
    """How long the run was, and what of that its parts are."""
    minutes, seconds = divmod(round(sum(parts_seconds.values())), 60)
    parts = ", ".join(f"{part} {length:.0f}" for part, length in parts_seconds.items())
    return f"took {minutes} min {seconds} s, in seconds: {parts}"


def with_spread(figure: Figure | None, form: str) -> str:
    """The median, and half the distance of the extremes in per cent of it."""
    if figure is None:
        return NONE
    is_single = len(figure.rounds) == 1
    return f"{figure.median:{form}}" if is_single else f"{figure.median:{form}} ±{figure.spread:.0%}"


def _rules_remarks(figures: Mapping[str, Figures]) -> Iterator[str]:
    """What the rules of a rich program cost the server, beside a plain accrual."""
    for subject in (RICH, BASKET):
        if subject in figures:
            ratio = with_spread(figures[subject]["server_to_unary"], ".2f")
            yield f"server CPU of {subject}, to that of unary: {ratio}"


def _tracing_remarks(report: Report) -> Iterator[str]:
    """What tracing costs: the two servers as they are accounted for, and its own calls alone."""
    costs = report.tracing_us
    ratio = with_spread(report.figures[TRACED]["server_to_unary"], ".2f")
    yield f"server CPU with tracing of {SAMPLE_RATIO:.0%} of the unary calls, to that without: {ratio}"
    server_us, batch_ops = (report.figures[UNARY][name].median for name in ("server_us", "batch_ops"))
    for state, cost_us in (
        ("off", costs.off_us(batch_ops)),
        (f"of {SAMPLE_RATIO:.0%}", costs.on_us(batch_ops)),
    ):
        share = cost_us / server_us
        yield f"calls of tracing, {state}: {cost_us:.2f} us, {share:.2%} of the server CPU of a unary call"


def _table(first: str, columns: Sequence[_Column], subjects: Mapping[str, Figures]) -> Table:
    headings = (first, *(column.heading for column in columns))
    rows = [(name, *(_cell(figures, column) for column in columns)) for name, figures in subjects.items()]
    return Table(headings, rows)


def _cell(figures: Figures, column: _Column) -> str:
    figure = figures.get(column.figure)
    if figure and not column.has_spread:
        return f"{figure.median:{column.form}}"
    return with_spread(figure, column.form)


def _judged_row(judged: Judged) -> Sequence[str]:
    target, figure, is_met = judged
    met = "not measured" if is_met is None else "yes" if is_met else "NO"
    return target.name, with_spread(figure, ",.2f"), _bound(target), met


def _bound(target: Target) -> str:
    return f"{'<=' if target.is_at_most else '>='} {target.bound:g}"
