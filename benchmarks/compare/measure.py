"""One run of one subject: how fast, how much CPU time of whom, in batches how large, how long a call took."""

import urllib.request
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.compare.client import Client, Ran
from benchmarks.compare.percentiles import CALL
from benchmarks.cpu import tree_seconds

_BATCHES: Final = "loyalty_batch_operations"


class Processes(NamedTuple):
    """Process ids of the roots of what takes part; the floor has no server."""

    server: int | None
    postgres: int


class Subject(NamedTuple):
    """What is measured; `metrics_url` is that of a service that batches.

    One that `is_slow` does few operations a second.
    """

    name: str
    client: Client
    processes: Processes
    metrics_url: str | None = None
    is_slow: bool = False


class Sample(NamedTuple):
    """The figures of one run; CPU times are of one operation, `batch_ops` is the mean size of a batch.

    Latencies are those of unary calls. `ledger_rows` are those that the service had written by its middle.
    """

    operations_per_second: float
    server_us: float
    postgres_us: float
    client_us: float
    batch_ops: float | None
    ledger_rows: float | None
    p50_ms: float | None
    p99_ms: float | None


class _Reading(NamedTuple):
    """Seconds and counts since the processes began."""

    server_seconds: float
    postgres_seconds: float
    client_seconds: float
    batches: float
    batched_operations: float


def measure(subject: Subject, operations: int) -> Sample:
    """Run the subject once. Raises BenchmarkError."""
    subject.client.prepare(operations)
    before = _read(subject)
    ran = subject.client.run()
    return _sample(ran, before, _read(subject))


def _read(subject: Subject) -> _Reading:
    server, postgres = subject.processes
    batches, operations = _batch_counts(subject.metrics_url) if subject.metrics_url else (0, 0)
    return _Reading(
        tree_seconds(server) if server else 0,
        tree_seconds(postgres),
        tree_seconds(subject.client.pid),
        batches,
        operations,
    )


def _batch_counts(metrics_url: str) -> tuple[float, float]:
    """How many batches there were, and the operations in them."""
    with urllib.request.urlopen(metrics_url, timeout=10) as response:  # noqa: S310 - our own service's
        lines: list[str] = response.read().decode().splitlines()
    # Of hundreds of chains there are many more lines, which take the parser a second.
    own = "\n".join(line for line in lines if _BATCHES in line)
    families = text_string_to_metric_families(f"{own}\n")
    values = {sample.name: sample.value for family in families for sample in family.samples}
    return values[f"{_BATCHES}_count"], values[f"{_BATCHES}_sum"]


def _sample(ran: Ran, before: _Reading, after: _Reading) -> Sample:
    spent = _Reading(*(end - start for start, end in zip(before, after, strict=True)))
    latency = ran.latencies.get(CALL)
    return Sample(
        ran.operations / ran.seconds,
        _microseconds(spent.server_seconds, ran),
        _microseconds(spent.postgres_seconds, ran),
        _microseconds(spent.client_seconds, ran),
        spent.batched_operations / spent.batches if spent.batches else None,
        (before.batched_operations + after.batched_operations) / 2 if spent.batches else None,
        latency.p50_ms if latency else None,
        latency.p99_ms if latency else None,
    )


def _microseconds(seconds: float, ran: Ran) -> float:
    return seconds * 1_000_000 / ran.operations
