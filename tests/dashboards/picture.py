"""A dashboard drawn as Grafana lays it out, from what a real Prometheus answers."""

import json
import math
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, MultipleLocator
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.alerts.prometheus import Prometheus
from tests.dashboards.dashboards import PICTURE_KEYWORD, digest
from tests.dashboards.series import Series, Span, series_of
from tests.dashboards.units import format_value

_COLUMNS: Final = 24
_WIDTH_PIXELS: Final = 1_440
_LINE_PIXELS: Final = 32
_HEAD_PIXELS: Final = 44
_DPI: Final = 100
_GAP_PIXELS: Final = 5
_PAGE, _PANEL, _TEXT, _FAINT = "#111217", "#181b1f", "#ccccdc", "#3a3d46"
_PALETTE: Final = (
    "#73bf69", "#5794f2", "#f2cc0c", "#ff780a", "#b877d9", "#f2495c", "#8ab8ff", "#37872d", "#ffa6b0",
)  # fmt: skip
_NAMED_COLORS: Final = {"green": "#73bf69", "red": "#f2495c"}

Draw = Callable[[Axes, dict[str, Any], Sequence[Series], Span], None]


def draw(file: Path, prometheus: Prometheus, span: Span, picture: Path) -> None:
    """Draw the dashboard of a file into a PNG file."""
    dashboard = json.loads(file.read_text())
    lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    height_pixels = _HEAD_PIXELS + lines * _LINE_PIXELS
    mpl.rcParams.update({"font.size": 8, "font.family": "DejaVu Sans", "text.color": _TEXT})
    figure = Figure((_WIDTH_PIXELS / _DPI, height_pixels / _DPI), dpi=_DPI, facecolor=_PAGE)
    figure.text(0.008, 1 - 24 / height_pixels, dashboard["title"], size=13, weight="bold")
    figure.text(0.25, 1 - 24 / height_pixels, dashboard["description"], size=9)
    for panel in dashboard["panels"]:
        _draw_panel(figure, panel, prometheus, span, height_pixels)
    _write(figure, picture, shown=digest(file))


def _write(figure: Figure, picture: Path, shown: str) -> None:
    """With a palette, which makes a small file, and the digest of what it shows."""
    buffer, info = BytesIO(), PngInfo()
    info.add_text(PICTURE_KEYWORD, shown)
    figure.savefig(buffer, format="png", facecolor=_PAGE)
    with Image.open(buffer) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small.save(picture, optimize=True, pnginfo=info)


def _draw_panel(
    figure: Figure, panel: dict[str, Any], prometheus: Prometheus, span: Span, height_pixels: int
) -> None:
    left, bottom, width, height = _box(panel["gridPos"], height_pixels)
    if panel["type"] == "row":
        figure.text(left + 0.004, bottom + height / 3, panel["title"], size=10, weight="bold")
        return
    background = figure.add_axes((left, bottom, width, height), facecolor=_PANEL)
    background.set(xticks=[], yticks=[])
    background.spines[:].set_color(_FAINT)
    figure.text(left + 0.006, bottom + height - 16 / height_pixels, panel["title"], weight="bold")
    series = series_of(prometheus, panel, span)
    if not series:
        figure.text(left + width / 2, bottom + height / 2, "No data", ha="center", color="#7b8087")
        return
    _DRAW[panel["type"]](
        _plot(figure, panel, (left, bottom, width, height), height_pixels), panel, series, span
    )


def _box(position: dict[str, int], height_pixels: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height, as shares of the figure."""
    column = 1 / _COLUMNS
    line = _LINE_PIXELS / height_pixels
    gap_x, gap_y = _GAP_PIXELS / _WIDTH_PIXELS, _GAP_PIXELS / height_pixels
    top = 1 - _HEAD_PIXELS / height_pixels - position["y"] * line
    return (
        position["x"] * column + gap_x / 2,
        top - position["h"] * line + gap_y / 2,
        position["w"] * column - gap_x,
        position["h"] * line - gap_y,
    )


def _plot(
    figure: Figure, panel: dict[str, Any], box: tuple[float, float, float, float], height_pixels: int
) -> Axes:
    left, bottom, width, height = box
    is_figure = panel["type"] == "stat"
    margins = (4, 4, 4, 58) if is_figure else (58, 52, 12, 26)  # left, bottom, right, top
    x0, y0 = left + margins[0] / _WIDTH_PIXELS, bottom + margins[1] / height_pixels
    x1 = left + width - margins[2] / _WIDTH_PIXELS
    y1 = bottom + height - margins[3] / height_pixels
    axes = figure.add_axes((x0, y0, x1 - x0, y1 - y0), facecolor="none")
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=_TEXT, length=0, labelsize=7)
    return axes


# --- kinds of panels --------------------------------------------------------------------------------


def _draw_graph(axes: Axes, panel: dict[str, Any], series: Sequence[Series], span: Span) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    lines = sorted(series, key=lambda each: (-each.last, each.name))[: len(_PALETTE)]
    if defaults["custom"].get("stacking"):
        _draw_stack(axes, lines, span)
    else:
        for line, color in zip(lines, _PALETTE, strict=False):
            axes.plot(line.seconds, line.values, color=color, linewidth=1.1, label=line.name)
            axes.fill_between(line.seconds, line.values, color=color, alpha=0.08)
    _draw_limit(axes, defaults["thresholds"]["steps"] if "thresholds" in defaults else [])
    _scale(axes, defaults["unit"], span)
    axes.legend(
        loc="upper left", bbox_to_anchor=_below(axes), bbox_transform=axes.figure.transFigure,
        ncol=_columns(lines), fontsize=6.5, frameon=False, labelcolor=_TEXT, handlelength=1, columnspacing=1,
        borderaxespad=0, labelspacing=0.25,
    )  # fmt: skip


def _columns(lines: Sequence[Series]) -> int:
    longest = max(len(line.name) for line in lines)
    return 1 if longest > 30 else 2 if longest > 20 else 3


def _below(axes: Axes) -> tuple[float, float]:
    """Where the legend begins, as shares of the figure."""
    box = axes.get_position()
    height_pixels = axes.figure.bbox.height
    return box.x0 - 48 / _WIDTH_PIXELS, box.y0 - 16 / height_pixels


def _draw_stack(axes: Axes, lines: Sequence[Series], span: Span) -> None:
    seconds = sorted({at for line in lines for at, _ in line.points})
    values = [[dict(line.points).get(at, 0.0) for at in seconds] for line in lines]
    names = [line.name for line in lines]
    axes.stackplot(seconds, values, labels=names, colors=_PALETTE[: len(lines)], alpha=0.7)


def _draw_limit(axes: Axes, steps: Sequence[dict[str, Any]]) -> None:
    """The line at which an alert fires, where it is not far above everything."""
    top = axes.get_ylim()[1]
    for step in steps[1:]:
        if step["value"] <= 6 * top:
            axes.axhline(step["value"], color=_NAMED_COLORS["red"], linewidth=0.9, linestyle=(0, (5, 3)))


def _scale(axes: Axes, unit: str, span: Span) -> None:
    axes.set_xlim(0, span.end - span.start)
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1] * 1.05, 1e-6))
    axes.grid(visible=True, color=_FAINT, linewidth=0.4)
    axes.yaxis.set_major_locator(_locator(unit, axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value, unit)))
    _label_minutes(axes)


def _locator(unit: str, top: float) -> Locator:
    if unit in {"bytes", "Bps"}:
        return MultipleLocator(2 ** math.ceil(math.log2(top / 5)))
    return MaxNLocator(5)


def _label_minutes(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 1.5, 3, 6]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{int(value) // 60}:{int(value) % 60:02}"))


def _draw_figure(axes: Axes, panel: dict[str, Any], series: Sequence[Series], span: Span) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    [line] = series
    reached = [step for step in defaults["thresholds"]["steps"] if (step["value"] or 0) <= line.last]
    color = _NAMED_COLORS[reached[-1]["color"]]
    axes.text(
        0.5, 1.32, format_value(line.last, defaults["unit"]), transform=axes.transAxes,
        ha="center", va="center", size=19, weight="bold", color=color,
    )  # fmt: skip
    axes.fill_between(line.seconds, line.values, color=color, alpha=0.18, linewidth=0)
    axes.plot(line.seconds, line.values, color=color, linewidth=0.9)
    axes.set(xticks=[], yticks=[], xlim=(0, span.end - span.start))
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1e-9))


def _draw_spread(axes: Axes, panel: dict[str, Any], series: Sequence[Series], span: Span) -> None:
    """Buckets count all below them, so each cell is a bucket less the one before."""
    buckets = sorted(series, key=lambda each: float(each.name))
    seconds = sorted({at for bucket in buckets for at, _ in bucket.points})
    counts = [[dict(bucket.points).get(at, 0.0) for at in seconds] for bucket in buckets]
    cells = [counts[0], *([b - a for a, b in zip(*pair, strict=True)] for pair in pairwise(counts))]
    cells = [[cell or math.nan for cell in cells_of_bucket] for cells_of_bucket in cells]
    axes.imshow(
        cells, origin="lower", aspect="auto", cmap="inferno", norm=PowerNorm(0.4, vmin=0),
        interpolation="nearest", extent=(seconds[0], seconds[-1], -0.5, len(buckets) - 0.5),
    )  # fmt: skip
    unit = panel["options"]["yAxis"]["unit"]
    labels = [
        "all" if bucket.name == "+Inf" else format_value(float(bucket.name), unit) for bucket in buckets
    ]
    axes.set_yticks(range(0, len(buckets), 2), [f"≤ {label}" for label in labels[::2]])
    axes.set_xlim(0, span.end - span.start)
    _label_minutes(axes)


_DRAW: Final[dict[str, Draw]] = {"timeseries": _draw_graph, "stat": _draw_figure, "heatmap": _draw_spread}
