"""`docs/metrics.md`: every metric that a server exports, from the objects that export it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from monitoring.rules import series_by_alert, series_names
from processor import gauges, metrics
from processor.domain.command import Kind
from processor.labels import CHAINS_MAX, TERMINALS_AFTER, TERMINALS_MAX, UNKNOWN
from processor.place import Worker
from processor.rpc import metrics as rpc_metrics
from processor.supervisor import FleetMetrics

_REPOSITORY: Final = Path(__file__).parents[1]
CATALOGUE: Final = _REPOSITORY / "docs/metrics.md"
DASHBOARDS: Final = _REPOSITORY / "helm/loyalty-processor/files/dashboards"

ABSENT_UNTIL: Final[Mapping[str, str]] = {
    "loyalty_calls_total": "the first call of a chain",
    "loyalty_call_seconds": "the first call of a chain",
    "loyalty_operations_total": "there is a chain",
    "loyalty_replays_total": "the first repeat",
    "loyalty_points_issued_total": "there is a chain",
    "loyalty_points_redeemed_total": "there is a chain",
    "loyalty_points_expired_total": "there is a chain",
    "loyalty_key_conflicts_total": "the first reused key",
    "loyalty_outstanding_points": "the first measuring with a member",
    "loyalty_replica_lag_seconds": "a standby streams that the owner of the tables may see",
}

LABELS: Final[Mapping[str, str]] = {
    "cause": "why a batch was not committed: `conflict`, `unknown` (outcome of COMMIT), `unavailable`",
    "chain": f"the chain's name; {CHAINS_MAX} per worker, the rest share `other`; `{UNKNOWN}`: not known yet",
    "code": "the gRPC code that the call ended with, as `OK`, `UNAVAILABLE`",
    "grpc_code": "the same",
    "grpc_method": "the method, as `Accrue`",
    "grpc_service": "the service with its package, as `loyalty.v1.TransactionService`",
    "grpc_type": "`unary` or `bidi_stream`",
    "item": "what is measured: `due_lag`, `outstanding_points`, `standbys`, `table_sizes`, `verification`",
    "kind": ", ".join(f"`{kind.name.lower()}`" for kind in Kind),
    "method": "the method, as `Accrue`",
    "outcome": "`APPLIED`, or the reason of the refusal as in the contract's `ErrorReason`",
    "reason": "as in the contract's `ErrorReason`",
    "replica": "the standby's `application_name`",
    "state": "`idle` or `used`",
    "table": "`account`, `card`, `due`, `operation` or `tally`, each with all of its partitions",
    "terminal": (
        f"`store_id/terminal_id` from its {TERMINALS_AFTER}rd conflict in a worker on, for {TERMINALS_MAX} of"
        " them; all others share `other`"
    ),
    "version": "the version of the service",
    "compiled": "`true` if what every operation goes through is compiled, else `false`",
    "worker": "the worker's place in its server, from 0; a successor continues it",
}

# By the last word of the name that tells it; of other metrics, the HELP text begins with what is counted.
_UNITS: Final[Mapping[str, str]] = {
    "seconds": "seconds",
    "bytes": "bytes",
    "points": "points",
    "operations": "operations",
    "standbys": "standbys",
    "tuples": "rows",
    "up": "0 or 1",
    "info": "always 1",
}

_PREAMBLE: Final = """\
# Metrics

<!-- Generated from the code by `make docs`; a test fails if this page is not what the code exports. -->

A server exports them over HTTP, all workers together: `http://HOST:9464/metrics`. Counters go on where
they were when a worker is replaced, and those that say so are exactly what the ledger has recorded. A
histogram `x` is exported as `x_bucket`, `x_sum` and `x_count`; those of calls, batches and commits have
buckets from 0.25 ms to 10 s. A metric is there from the start, unless the table says until when it is absent.
"""


class CataloguedMetric(NamedTuple):
    """A metric under the name that Prometheus stores."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str

    @property
    def unit(self) -> str:
        """As the name says it, or else what is counted."""
        for word in reversed(self.name.split("_")):
            if word in _UNITS:
                return _UNITS[word]
        return re.split(r"\W", self.help, maxsplit=1)[0].lower()

    @property
    def series(self) -> frozenset[str]:
        """The names that its samples have."""
        if self.type == "histogram":
            return frozenset(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return frozenset([self.name])


def catalogue() -> list[CataloguedMetric]:
    """Every metric of the workers and of the supervisor, by name."""
    of_fleet = FleetMetrics([Worker(0)]).collect()
    found = [*map(_of_worker, _worker_metrics()), *map(_of_supervisor, of_fleet)]
    return sorted(found)


def _worker_metrics() -> Iterator[MetricWrapperBase]:
    for module in (metrics, gauges, rpc_metrics):
        yield from (each for each in vars(module).values() if isinstance(each, MetricWrapperBase))


def _of_worker(metric: MetricWrapperBase) -> CataloguedMetric:
    [family] = metric.describe()
    return _catalogued(family, metric._labelnames)  # noqa: SLF001 - they are published nowhere else


def _of_supervisor(family: Metric) -> CataloguedMetric:
    return _catalogued(family, family.samples[0].labels)


def _catalogued(family: Metric, labels: Iterable[str]) -> CataloguedMetric:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return CataloguedMetric(name, family.type, tuple(labels), family.documentation)


# --- who uses them ----------------------------------------------------------------------------------


def users() -> dict[str, list[str]]:
    """By the name of a metric's series: the dashboards and alerts that ask for it, as links of the page."""
    used: dict[str, list[str]] = {}
    for user, series in [*_dashboards(), *_alerts()]:
        for name in series:
            used.setdefault(name, []).append(user)
    return used


def _dashboards() -> Iterator[tuple[str, set[str]]]:
    for file in sorted(DASHBOARDS.glob("*.json")):
        link = f"[{file.stem}](dashboards/{file.stem}.png)"
        yield link, series_names(file.read_text())


def _alerts() -> Iterator[tuple[str, set[str]]]:
    for alert, series in series_by_alert():
        yield f"[{alert}](runbooks/{alert}.md)", series


# --- the page ---------------------------------------------------------------------------------------


def render() -> str:
    """The page in Markdown."""
    used = users()
    catalogued = catalogue()
    return "\n".join(
        [
            _PREAMBLE,
            *_table(
                ("metric", "type, unit", "labels", "what it says, and what for", "seen in"),
                (_row(metric, used) for metric in catalogued),
            ),
            "",
            "## Labels",
            "",
            *_table(("label", "values"), ((f"`{name}`", text) for name, text in LABELS.items())),
            "",
        ]
    )


def _row(metric: CataloguedMetric, used: Mapping[str, list[str]]) -> tuple[str, ...]:
    until = ABSENT_UNTIL.get(metric.name)
    users = dict.fromkeys(user for name in sorted(metric.series) for user in used.get(name, ()))
    return (
        f"`{metric.name}`",
        f"{metric.type}, {metric.unit}",
        " ".join(f"`{label}`" for label in metric.labels),
        metric.help + (f" *Absent until {until}.*" if until else ""),
        ", ".join(users),
    )


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    columns = list(columns)
    for cells in (columns, ["---"] * len(columns), *rows):
        yield f"| {' | '.join(cells)} |"
