"""The figures on a terminal: all of them fit on 80 columns and 24 lines; a higher one shows more chains."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from processor.top.figures import Chain, Database, Figures, Path, Worker
from processor.top.format import count, seconds, share, size
from processor.top.rates import Quantiles

_HEADER_LINES: Final = 2
_UPPER_LINES: Final = 8
_MIDDLE_LINES: Final = 7
# A panel's border and its table's heading.
_FRAME_LINES: Final = 3
_GOOD, _BAD, _FAINT = "green", "bold red", "dim"


def view(figures: Figures, source: str, notice: Text, lines: int) -> RenderableType:
    """Everything, for a terminal of so many lines; `notice` stands beside the source."""
    layout = Layout()
    lower_lines = max(lines - _HEADER_LINES - _UPPER_LINES - _MIDDLE_LINES, _FRAME_LINES + 1)
    upper, middle = Layout(size=_UPPER_LINES), Layout(size=_MIDDLE_LINES)
    layout.split_column(
        Layout(_header(figures, source, notice), size=_HEADER_LINES),
        upper,
        middle,
        Layout(_chains(figures.chains, lower_lines - _FRAME_LINES)),
    )
    upper.split_row(Layout(_times(figures.path), ratio=5), Layout(_database(figures.database), ratio=4))
    middle.split_row(
        Layout(_batches(figures.path), size=26),
        Layout(_refusals(figures.traffic.refusals)),
        Layout(_workers(figures), size=27),
    )
    return layout


def _header(figures: Figures, source: str, notice: Text) -> Text:
    traffic = figures.traffic
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{source} {figures.version}", "bold")
    text.append("   ").append_text(notice).append("\n")
    rates = {
        "operations": traffic.operations,
        "calls": traffic.calls,
        "repeats": traffic.replays,
        "refused": sum(traffic.refusals.values()),
    }
    for name, rate in rates.items():
        text.append(f"{count(rate)}/s", "bold")
        text.append(f" {name}   ")
    return text


# --- upper ------------------------------------------------------------------------------------------


def _times(path: Path) -> Panel:
    table = _table("", "#p50", "#p95", "#p99")
    rows = {
        "call": path.call_seconds,
        "queue wait": path.queue_seconds,
        "batch": path.batch_seconds,
        "commit": path.commit_seconds,
    }
    for name, quantiles in rows.items():
        table.add_row(name, *map(seconds, _in_order(quantiles)))
    return _panel("time", table)


def _in_order(quantiles: Quantiles) -> tuple[float | None, ...]:
    return quantiles.p50, quantiles.p95, quantiles.p99


def _database(database: Database) -> Panel:
    rows: dict[str, RenderableType] = {
        "writable": Text("yes", _GOOD) if database.is_up else Text("no", _BAD),
        "connections": f"{count(database.connections_used)} used, {count(database.connections_idle)} idle",
        "partitions": f"{count(database.partitions)}, {seconds(database.partition_runway_seconds)} ahead",
        "dead rows": f"{count(database.account_dead_tuples)} of accounts",
        "size": size(database.bytes),
        "standbys": _standbys(database),
    }
    return _panel("PostgreSQL", _pairs(rows))


def _standbys(database: Database) -> Text:
    if not database.sync_standbys_wanted and not database.replica_lag_seconds:
        return Text("none", _FAINT)
    is_whole = database.sync_standbys == database.sync_standbys_wanted
    synchronous = f"{count(database.sync_standbys)}/{count(database.sync_standbys_wanted)} sync"
    lag_seconds = max(database.replica_lag_seconds.values(), default=None)
    return Text(f"{synchronous}, lag {seconds(lag_seconds)}", "" if is_whole else _BAD)


# --- middle -----------------------------------------------------------------------------------------


def _batches(path: Path) -> Panel:
    mean, largest = path.batch_operations_mean, path.batch_operations.p99
    rows = {
        "batches": f"{count(path.batches)}/s",
        "size": f"{count(mean)}, p99 {count(largest)}",
        "lanes": f"{path.lanes_busy:.1f} of {count(path.lanes)}",
        "queued": f"{count(path.queue_operations)}",
        "reruns": f"{count(sum(path.reruns.values()))}/s",
    }
    return _panel("batches", _pairs(rows))


def _refusals(refusals: Mapping[str, float]) -> Panel:
    shown = _shortened(list(refusals.items()), _MIDDLE_LINES - _FRAME_LINES + 1)
    table = _pairs({reason: f"{count(rate)}/s" for reason, rate in shown}, numbers=True)
    return _panel("refused", table if refusals else Text("nothing", _FAINT))


def _workers(figures: Figures) -> Panel:
    table = _table("", "#cpu", "#memory", "#died")
    hidden = len(figures.workers) - (_MIDDLE_LINES - _FRAME_LINES)
    for worker in figures.workers[: _MIDDLE_LINES - _FRAME_LINES]:
        table.add_row(*_worker(worker))
    is_whole = figures.workers_serving == figures.workers_wanted
    title = f"workers {figures.workers_serving:.0f}/{figures.workers_wanted:.0f}"
    return _panel(f"{title}, {hidden} not shown" if hidden > 0 else title, table, "" if is_whole else _BAD)


def _worker(worker: Worker) -> tuple[RenderableType, ...]:
    restarts = Text(count(worker.restarts), _BAD if worker.restarts else "")
    return worker.worker, share(worker.cpu), size(worker.resident_bytes), restarts


# --- lower ------------------------------------------------------------------------------------------


def _chains(chains: Sequence[Chain], lines: int) -> Panel:
    table = _table("chain", "#operations", "#repeats", "#refused", "#p99", "#issued", "#redeemed", "#owed")
    for chain in chains[:lines]:
        table.add_row(*_chain(chain))
    hidden = len(chains) - lines
    return _panel(f"chains, {hidden} not shown" if hidden > 0 else "chains", table)


def _chain(chain: Chain) -> tuple[str, ...]:
    rates = (chain.operations, chain.replays, chain.refusals)
    points = (chain.issued_points, chain.redeemed_points)
    return (
        chain.chain,
        *(f"{count(rate)}/s" for rate in rates),
        seconds(chain.call_seconds.p99),
        *(f"{count(rate)}/s" for rate in points),
        count(chain.outstanding_points),
    )


# --- parts ------------------------------------------------------------------------------------------


def _panel(title: str, content: RenderableType, style: str = "") -> Panel:
    return Panel(
        content, title=Text(title, style or "bold"), title_align="left", box=box.ROUNDED, border_style=_FAINT
    )


def _table(*columns: str) -> Table:
    """Columns whose name begins with `#` are numbers, to the right."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, header_style=_FAINT)
    for column in columns:
        is_number = column[:1] == "#"
        table.add_column(
            column.removeprefix("#"),
            justify="right" if is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _pairs(rows: Mapping[str, RenderableType], *, numbers: bool = False) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0), expand=numbers)
    table.add_column(style="" if numbers else _FAINT, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right" if numbers else "left", no_wrap=True, overflow="ellipsis")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _shortened(items: Iterable[tuple[str, float]], lines: int) -> list[tuple[str, float]]:
    """The first ones, and the others summed up in one."""
    items = list(items)
    if len(items) <= lines:
        return items
    rest = items[lines - 1 :]
    return [*items[: lines - 1], (f"{len(rest)} others", sum(rate for _, rate in rest))]
