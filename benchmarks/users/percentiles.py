"""Percentiles at full resolution: Locust's own are rounded, and its workers' are merged in the master."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.latency import Latencies

_ALL = "all"


class Percentiles:
    """The latencies of every kind of call by name, and of all of them."""

    def __init__(self) -> None:
        self._latencies: defaultdict[str, Latencies] = defaultdict(Latencies)

    @property
    def all(self) -> Latencies:
        """Of every call."""
        return self._latencies[_ALL]

    def register(self) -> None:
        """Have Locust tell of every call, here and in its workers, and know `--hdr`."""
        events.init_command_line_parser.add_listener(_add_option)  # type: ignore[no-untyped-call]
        events.test_start.add_listener(self._forget)  # type: ignore[no-untyped-call]
        events.request.add_listener(self._record)  # type: ignore[no-untyped-call]
        events.report_to_master.add_listener(self._hand_over)  # type: ignore[no-untyped-call]
        events.worker_report.add_listener(self._take_over)  # type: ignore[no-untyped-call]
        events.quitting.add_listener(self._publish)  # type: ignore[no-untyped-call]

    def _forget(self, **_: object) -> None:
        self._latencies.clear()

    def _record(self, name: str, response_time: float, **_: object) -> None:
        latency_us = round(response_time * 1_000)
        for key in (name, _ALL):
            self._latencies[key].record(latency_us)

    def _hand_over(self, data: dict[str, Any], **_: object) -> None:
        data["latencies"] = {name: latencies.encode() for name, latencies in self._latencies.items()}
        self._latencies.clear()

    def _take_over(self, data: Mapping[str, Any], **_: object) -> None:
        for name, encoded in data["latencies"].items():
            self._latencies[name].add(encoded)

    def _publish(self, environment: Environment, **_: object) -> None:
        if isinstance(environment.runner, WorkerRunner) or not self._latencies:
            return
        # Locust's figures for machines have standard output.
        Console(stderr=True, highlight=False).print(self._table())
        assert environment.parsed_options
        if environment.parsed_options.hdr:
            self.all.write_distribution(Path(environment.parsed_options.hdr))

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("call")
        for name in ("calls", *(f"{name} ms" for name in self.all.percentiles_ms())):
            table.add_column(name, justify="right")
        for row in self._rows():
            table.add_row(*row)
        return table

    def _rows(self) -> Iterator[list[str]]:
        for name in sorted(self._latencies, key=lambda name: (name == _ALL, name)):
            latencies = self._latencies[name]
            figures = (f"{value:,.2f}" for value in latencies.percentiles_ms().values())
            yield [name, f"{latencies.count:,}", *figures]


def _add_option(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--hdr",
        env_var="LOYALTY_HDR",
        metavar="FILE",
        default="",
        help="Write the distribution of all latencies here, in HdrHistogram's format",
    )
