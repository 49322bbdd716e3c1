"""A load test under way: how much, how fast, at what price."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.panels import (
    HALF,
    Query,
    Row,
    figure,
    frame,
    graph,
    mean,
    quantile,
    quantiles,
    rate,
    select,
    spread,
)
from monitoring.rules import latency_objective_seconds

_OPERATIONS: Final = f"({rate('loyalty_operations_total')} + ({rate('loyalty_replays_total')} or vector(0)))"
_CPU: Final = rate("loyalty_worker_cpu_seconds_total")
_OUR_FAULTS: Final = (
    'outcome=~"QUEUE_FULL|DEADLINE_PASSED|STORAGE_UNAVAILABLE|OUTCOME_UNKNOWN|SHUTTING_DOWN|INTERNAL_ERROR"'
)


def load_test() -> Dashboard:
    """The dashboard."""
    return frame(
        "loyalty-load-test",
        "Loyalty / Load test",
        "A load test under way: how much, how fast, at what price, and what saturates first.",
        [_now(), _latency(), _throughput(), _saturation()],
        since="now-15m",
        refresh="5s",
    )


def _now() -> Row:
    failed = f"({rate('loyalty_operations_total', _OUR_FAULTS)} or vector(0))"
    return Row(
        "Now",
        [
            figure("Operations", "ops", _OPERATIONS, "Repeats included."),
            figure(
                "Latency p50",
                "s",
                quantile(0.5, "grpc_server_handling_seconds"),
                "Of all calls.",
                bad_above=latency_objective_seconds(),
            ),
            figure(
                "Latency p99",
                "s",
                quantile(0.99, "grpc_server_handling_seconds"),
                "Of all calls.",
                bad_above=latency_objective_seconds(),
            ),
            figure("Failed by us", "percentunit", f"{failed} / {_OPERATIONS}", "Any is one too many."),
            figure("Operations in a batch", "short", mean("loyalty_batch_operations"), "The mean."),
            figure(
                "Processor time of an operation",
                "s",
                f"{_CPU} / {_OPERATIONS}",
                "Of workers, without PostgreSQL.",
            ),
        ],
    )


def _latency() -> Row:
    tail = Query(quantile(0.999, "grpc_server_handling_seconds"), "p99.9")
    return Row(
        "Latency",
        [
            graph(
                "Latency of calls",
                "s",
                [*quantiles("grpc_server_handling_seconds"), tail],
                "On the server, from the start of a call to its status.",
                span=HALF,
                limit=latency_objective_seconds(),
            ),
            spread("Latency of calls, spread", "s", "grpc_server_handling_seconds", "Calls by bucket."),
        ],
    )


def _throughput() -> Row:
    outcomes = rate("loyalty_operations_total", by="outcome")
    return Row(
        "Throughput",
        [
            graph(
                "Operations by outcome",
                "ops",
                [Query(outcomes, "{{outcome}}"), Query(rate("loyalty_replays_total"), "repeated")],
                "Repeats are answered from the ledger.",
                is_stacked=True,
            ),
            graph(
                "Commits",
                "ops",
                [Query(rate("loyalty_commit_seconds_count"), "commits")],
                "Far fewer than operations: batching works.",
            ),
            graph(
                "Operations in a batch",
                "short",
                [
                    Query(mean("loyalty_batch_operations"), "mean"),
                    *quantiles("loyalty_batch_operations"),
                ],
                "Grows with load.",
            ),
        ],
    )


def _saturation() -> Row:
    cpu = rate("loyalty_worker_cpu_seconds_total", by="worker")
    busy = f"clamp_max({rate('loyalty_lane_busy_seconds_total')} / sum({select('loyalty_lanes')}), 1)"
    queue = f"max({select('loyalty_queue_operations')}) / max({select('loyalty_queue_operations_max')})"
    calls = f"max({select('loyalty_worker_calls')}) / max({select('loyalty_calls_max')})"
    return Row(
        "What saturates first",
        [
            graph(
                "Saturation",
                "percentunit",
                [
                    Query(f"max({cpu})", "busiest worker's core"),
                    Query(busy, "lanes"),
                    Query(queue, "queue"),
                    Query(calls, "calls"),
                ],
                "Whatever is at 100 % first is the limit.",
            ),
            graph(
                "Where the time goes",
                "s",
                [
                    Query(mean("loyalty_queue_wait_seconds"), "queue"),
                    Query(f"{mean('loyalty_batch_seconds')} - {mean('loyalty_commit_seconds')}", "batch"),
                    Query(mean("loyalty_commit_seconds"), "commit"),
                ],
                "Mean of a batch: its oldest call's wait, its work, its commit.",
                is_stacked=True,
            ),
            graph(
                "Event loop lag",
                "s",
                quantiles("loyalty_loop_lag_seconds"),
                "High: no processor time for the workers.",
            ),
        ],
    )
