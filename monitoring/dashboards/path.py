"""Where a call spends its time: rpc, queue, batch, commit, and the processes that carry it."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.panels import (
    HALF,
    QUARTER,
    Query,
    Row,
    frame,
    graph,
    mean,
    quantile,
    quantiles,
    rate,
    select,
    spread,
)
from monitoring.rules import latency_objective_seconds, limit


def path() -> Dashboard:
    """The dashboard."""
    return frame(
        "loyalty-path",
        "Loyalty / Path of a call",
        "Where a call spends its time, from its arrival to its commit.",
        [_rpc(), _queue(), _batch(), _commit(), _workers()],
    )


def _rpc() -> Row:
    latency = quantile(0.99, "grpc_server_handling_seconds", by="grpc_method")
    started = f"sum by (grpc_method) ({select('grpc_server_started_total')})"
    handled = f"sum by (grpc_method) ({select('grpc_server_handled_total')})"
    return Row(
        "1. rpc",
        [
            graph(
                "Latency p99 by method",
                "s",
                [Query(f"{latency} >= 0", "{{grpc_method}}")],
                "From the start of a call to its status. A stream lasts for as long as it is open.",
                limit=latency_objective_seconds(),
            ),
            graph(
                "Calls under way",
                "short",
                [Query(f"{started} - {handled} > 0", "{{grpc_method}}")],
                "Started and not ended. Those of a killed worker never end, and stay.",
            ),
            graph(
                "Messages",
                "reqps",
                [
                    Query(rate("grpc_server_msg_received_total"), "received"),
                    Query(rate("grpc_server_msg_sent_total"), "sent"),
                ],
                "Streams have many in one call.",
            ),
        ],
    )


def _queue() -> Row:
    used = f"max({select('loyalty_queue_operations')}) / max({select('loyalty_queue_operations_max')})"
    calls = f"max({select('loyalty_worker_calls')}) / max({select('loyalty_calls_max')})"
    full = rate("loyalty_refusals_total", 'reason="QUEUE_FULL"', by="chain")
    return Row(
        "2. queue",
        [
            graph(
                "Queue wait",
                "s",
                quantiles("loyalty_queue_wait_seconds"),
                "Of the oldest operation of each batch. Long: the lanes are too slow or too few.",
            ),
            graph(
                "Open, of what a worker takes",
                "percentunit",
                [
                    Query(used, "operations, all queues by the bound of one"),
                    Query(calls, "calls, fullest worker"),
                ],
                "What comes beyond is refused.",
                limit=limit("LoyaltyQueueNearlyFull"),
            ),
            graph(
                "Refused with QUEUE_FULL",
                "ops",
                [Query(full, "{{chain}}")],
                "Tills are told to wait and send again.",
            ),
        ],
    )


def _batch() -> Row:
    busy = rate("loyalty_lane_busy_seconds_total")
    reruns = rate("loyalty_batch_reruns_total", by="cause")
    batches = rate("loyalty_batch_seconds_count")
    return Row(
        "3. batch",
        [
            graph("Batch time", "s", quantiles("loyalty_batch_seconds"), "From taking it to its replies."),
            graph(
                "Operations in a batch",
                "short",
                [
                    Query(mean("loyalty_batch_operations"), "mean"),
                    Query(quantile(0.99, "loyalty_batch_operations"), "p99"),
                ],
                "Batches grow with load: that is what carries it.",
            ),
            graph(
                "Lanes",
                "short",
                [Query(busy, "busy"), Query(f"sum({select('loyalty_lanes')})", "all")],
                "Near all of them busy: PostgreSQL, or the processor time of workers, is the limit.",
            ),
            graph("Batches", "ops", [Query(batches, "batches")], "Transactions by the second.", span=HALF),
            graph(
                "Reruns, of all batches",
                "percentunit",
                [Query(f"{reruns} / on () group_left () {batches}", "{{cause}}")],
                "Batches run again after a conflict or an outage.",
                span=HALF,
                limit=limit("LoyaltyBatchReruns"),
            ),
        ],
    )


def _commit() -> Row:
    return Row(
        "4. commit",
        [
            graph(
                "Commit time",
                "s",
                quantiles("loyalty_commit_seconds"),
                "The wait for the disk and for synchronous standbys.",
                span=HALF,
                limit=limit("LoyaltyCommitSlow"),
            ),
            spread("Commit time, spread", "s", "loyalty_commit_seconds", "Two bands: two kinds of commit."),
        ],
    )


def _workers() -> Row:
    cpu = rate("loyalty_worker_cpu_seconds_total", by="instance, worker")
    memory = f"sum by (instance, worker) ({select('loyalty_worker_resident_bytes')})"
    restarts = f"sum by (worker) (increase({select('loyalty_worker_restarts_total')}[15m]))"
    hangs = f"sum by (worker) (increase({select('loyalty_worker_hangs_total')}[15m]))"
    return Row(
        "Workers",
        [
            graph(
                "Processor time",
                "percentunit",
                [Query(cpu, "{{instance}} {{worker}}")],
                "Of one core. A worker uses no more than one.",
                span=QUARTER,
            ),
            graph("Memory", "bytes", [Query(memory, "{{instance}} {{worker}}")], "Resident.", span=QUARTER),
            graph(
                "Event loop lag",
                "s",
                quantiles("loyalty_loop_lag_seconds"),
                "How late timers run; every call waits as long.",
                span=QUARTER,
                limit=limit("LoyaltyLoopLag"),
            ),
            graph(
                "Restarts in 15 minutes",
                "short",
                [Query(restarts, "worker {{worker}}"), Query(hangs, "worker {{worker}} hung")],
                "Deaths that a supervisor answered with another process; hangs that it ended itself.",
                span=QUARTER,
                limit=limit("LoyaltyWorkerCrashLoop"),
            ),
        ],
    )
