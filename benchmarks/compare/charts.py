"""The charts of a report, as SVG whose colours are those of the page around it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.compare.figures import Figure, Figures
from benchmarks.compare.report import GrowthPoint

# Stand-ins for the page's own colours, by name: matplotlib knows no CSS variables.
_COLORS: Final = {
    "ink": "#010101",
    "faint": "#020202",
    "grid": "#030303",
    "server": "#040404",
    "postgres": "#050505",
    "client": "#060606",
}
_OF_TRANSPORTS: Final = ("server", "postgres")
_SIZE_INCHES: Final = (6.4, 3.7)
_STYLE: Final = {
    "svg.fonttype": "none",  # text stays text: it is small, and in the page's font
    "svg.hashsalt": "loyalty",  # the same file for the same figures
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": _COLORS["ink"],
    "axes.edgecolor": _COLORS["faint"],
    "axes.labelcolor": _COLORS["faint"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _COLORS["grid"],
    "grid.linewidth": 0.7,
    "xtick.color": _COLORS["faint"],
    "ytick.color": _COLORS["faint"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
}

Draw = Callable[[Axes], None]


def throughput_chart(sweeps: Mapping[str, Mapping[str, Figures]]) -> str:
    """What throughput costs in latency: a point for each number of calls in flight, by transport."""

    def draw(axes: Axes) -> None:
        for (transport, sweep), color in zip(sweeps.items(), _OF_TRANSPORTS, strict=False):
            rates = _medians(sweep.values(), "operations_per_second")
            for figure, line in (("p50_ms", "-"), ("p99_ms", ":")):
                values = _medians(sweep.values(), figure)
                label = f"{transport}, {figure.removesuffix('_ms')}"
                axes.plot(rates, values, line, marker="o", color=_COLORS[color], label=label)
        axes.set_yscale("log")
        axes.set(xlabel="calls a second", ylabel="milliseconds")
        axes.set_xlim(left=0)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        _plain_numbers(axes.xaxis, axes.yaxis)
        axes.legend(loc="upper left")

    return _svg(draw)


def batch_chart(sweeps: Mapping[str, Mapping[str, Figures]]) -> str:
    """How batches grow with the load, by transport."""

    def draw(axes: Axes) -> None:
        for (transport, sweep), color in zip(sweeps.items(), _OF_TRANSPORTS, strict=False):
            in_flight = [int(each) for each in sweep]
            _line(axes, in_flight, [each["batch_ops"] for each in sweep.values()], color, transport)
            axes.set_xscale("log", base=2)
            axes.set_xticks(in_flight)
        axes.set(xlabel="calls in flight", ylabel="operations in a batch")
        axes.set_ylim(bottom=0)
        _plain_numbers(axes.xaxis, axes.yaxis)
        axes.legend(loc="upper left")

    return _svg(draw)


def cpu_chart(subjects: Mapping[str, Figures]) -> str:
    """Whose CPU time an operation takes, the least on top."""

    def draw(axes: Axes) -> None:
        names = list(subjects)[::-1]
        lefts = [0.0] * len(names)
        for figure, label in (
            ("server_us", "server"),
            ("postgres_us", "PostgreSQL"),
            ("client_us", "client"),
        ):
            widths = [subjects[name][figure].median for name in names]
            color = _COLORS[figure.removesuffix("_us")]
            axes.barh(names, widths, left=lefts, height=0.66, color=color, label=label)
            lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
        for name, total in zip(names, lefts, strict=True):
            axes.annotate(
                f"{total:,.0f}", (total, name), xytext=(4, 0), textcoords="offset points", va="center", size=8
            )
        axes.set(xlabel="us of CPU time an operation")
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", labelcolor=_COLORS["ink"])
        axes.margins(x=0.1)
        _plain_numbers(axes.xaxis)
        axes.legend(loc="upper right")

    return _svg(draw, height_inches=1.2 + 0.26 * len(subjects))


def own_growth_chart(batches: Figures) -> str:
    """What an operation costs, round by round, as the ledger of the run grows."""

    def draw(axes: Axes) -> None:
        rows = batches["ledger_rows"].rounds
        for name, label in (("server", "server"), ("postgres", "PostgreSQL")):
            axes.plot(rows, batches[f"{name}_us"].rounds, marker="o", color=_COLORS[name], label=label)
        axes.set(xlabel="rows of the ledger", ylabel="us of CPU time an operation")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        _plain_numbers(axes.xaxis, axes.yaxis)
        axes.legend(loc="lower right")

    return _svg(draw)


def growth_chart(points: Sequence[GrowthPoint]) -> str:
    """What a larger ledger costs: throughput beside that of the smallest."""

    def draw(axes: Axes) -> None:
        rows = [point.rows for point in points]
        for name, label, color in (
            ("throughput_to_smallest", "throughput", "server"),
            ("cpu_to_smallest", "CPU of server and PostgreSQL", "postgres"),
        ):
            _line(axes, rows, [point.figures[name] for point in points], color, label)
        axes.set_xscale("log")
        axes.set(xlabel="rows of the ledger", ylabel="to the smallest ledger")
        axes.set_ylim(bottom=0)
        axes.set_xticks(rows)
        _plain_numbers(axes.xaxis, axes.yaxis)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g} M"))
        axes.legend(loc="lower left")

    return _svg(draw)


def _line(axes: Axes, x: Sequence[float], figures: Sequence[Figure], color: str, label: str) -> None:
    """Medians, in a band of what lies between the extremes."""
    axes.plot(x, [each.median for each in figures], marker="o", color=_COLORS[color], label=label)
    lows, highs = ([each.low for each in figures], [each.high for each in figures])
    axes.fill_between(x, lows, highs, color=_COLORS[color], alpha=0.15, linewidth=0)


def _medians(subjects: Iterable[Figures], name: str) -> list[float]:
    return [figures[name].median for figures in subjects]


def _plain_numbers(*axes: Axis) -> None:
    """1,000 rather than a power of ten."""
    for axis in axes:
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _svg(draw: Draw, height_inches: float = _SIZE_INCHES[1]) -> str:
    with mpl.rc_context(_STYLE):
        canvas = Canvas((_SIZE_INCHES[0], height_inches), layout="constrained")
        axes = canvas.add_subplot()
        draw(axes)
        text = StringIO()
        canvas.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(text.getvalue())


def _themed(svg: str) -> str:
    """The element alone, as wide as there is room, in the colours and the font of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for name, color in _COLORS.items():
        svg = svg.replace(color, f"var(--{name})")
    return svg
