"""The figures of a load, for people and for machines."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.latency import Latencies
from benchmarks.load.processes import Part


class Report(NamedTuple):
    """`operations` by what became of them; latencies and `client_us` (CPU time) are of messages."""

    settings: Mapping[str, object]
    seconds: float
    messages: int
    operations: Mapping[str, int]
    operations_per_second: float
    latency_ms: Mapping[str, float]
    failures: Mapping[str, int]
    client_us: float

    @property
    def failed(self) -> int:
        """Operations that were not answered as they must be."""
        return self.operations["failed"]


def make_report(settings: Mapping[str, object], parts: Sequence[Part], latencies: Latencies) -> Report:
    """Of all processes together."""
    failures = sum((part.failures for part in parts), Counter[str]())
    good = {name: sum(getattr(part, name) for part in parts) for name in ("applied", "refused", "repeated")}
    seconds = max(part.seconds for part in parts)
    messages = sum(part.messages for part in parts)
    cpu_seconds = sum(part.cpu_seconds for part in parts)
    return Report(
        settings=settings,
        seconds=seconds,
        messages=messages,
        operations={**good, "failed": failures.total()},
        operations_per_second=sum(good.values()) / seconds if seconds else 0.0,
        latency_ms=latencies.percentiles_ms(),
        failures=dict(failures.most_common()),
        client_us=cpu_seconds / messages * 1e6 if messages else 0.0,
    )


def write_json(report: Report, path: Path) -> None:
    """All of it."""
    path.write_text(json.dumps(report._asdict(), indent=2) + "\n", "utf-8")


def print_report(report: Report) -> None:
    """A table on standard output, and below it what failed, by reason."""
    console = Console(highlight=False)
    console.print(_table(report))
    for reason, count in report.failures.items():
        console.print(f"{count:,} failed: {reason}", markup=False, soft_wrap=True)


def _table(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in _rows(report):
        table.add_row(name, value)
    return table


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    yield "operations/s", f"{report.operations_per_second:,.0f}"
    for name, value in report.latency_ms.items():
        yield f"{name} ms", f"{value:,.2f}"
    for name, count in report.operations.items():
        yield name, f"{count:,}"
    yield "client CPU us a call", f"{report.client_us:.1f}"
