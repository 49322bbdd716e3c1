"""PostgreSQL as the service meets it."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.panels import Query, Row, figure, frame, graph, quantiles, rate, select
from monitoring.rules import limit

# What a row of an account takes, roughly, as in the alert.
_ROW_BYTES: Final = 100


def postgresql() -> Dashboard:
    """The dashboard."""
    return frame(
        "loyalty-postgresql",
        "Loyalty / PostgreSQL",
        "PostgreSQL as the service meets it: connections, commits, growth, upkeep and standbys.",
        [_now(), _work(), _size(), _standbys()],
    )


def _now() -> Row:
    missing = f"max({select('loyalty_sync_standbys_wanted')} - {select('loyalty_sync_standbys')})"
    size = f"sum({_largest('loyalty_table_bytes')}) + sum({_largest('loyalty_index_bytes')})"
    return Row(
        "Now",
        [
            figure(
                "Takes writes",
                "percentunit",
                f"avg({select('loyalty_database_up')})",
                "Servers whose last probe could write.",
                bad_below=1,
            ),
            figure(
                "Partitions ahead",
                "s",
                f"min({select('loyalty_partition_runway_seconds')})",
                "How long the ledger has partitions to write to.",
                bad_below=limit("LoyaltyPartitionRunwayShort"),
            ),
            figure(
                "Synchronous standbys missing",
                "short",
                missing,
                "Of those that COMMIT waits for.",
                bad_above=1,
            ),
            figure("Size", "bytes", size, "Tables and indexes of the service."),
            figure("Partitions", "short", f"max({select('loyalty_partitions')})", "Attached to the ledger."),
            figure("Commits", "ops", rate("loyalty_commit_seconds_count"), "Each is a wait for the disk."),
        ],
    )


def _work() -> Row:
    connections = f"sum by (state) ({select('loyalty_pool_connections')})"
    return Row(
        "Work",
        [
            graph(
                "Commit time",
                "s",
                quantiles("loyalty_commit_seconds"),
                "The wait for the disk and for synchronous standbys.",
                limit=limit("LoyaltyCommitSlow"),
            ),
            graph(
                "Connections",
                "short",
                [Query(connections, "{{state}}")],
                "Of all workers' pools. None idle: reads and upkeep wait.",
                is_stacked=True,
            ),
            graph(
                "Reruns by cause",
                "ops",
                [
                    Query(rate("loyalty_batch_reruns_total", by="cause"), "{{cause}}"),
                    Query(rate("loyalty_batches_abandoned_total", by="outcome"), "given up: {{outcome}}"),
                ],
                "conflict: two workers changed one account; unknown, unavailable: the connection broke.",
            ),
        ],
    )


def _size() -> Row:
    accounts_bytes = select("loyalty_table_bytes", 'table="account"')
    dead_share = f"{_ROW_BYTES} * max({select('loyalty_account_dead_tuples')}) / max({accounts_bytes})"
    growth = f"deriv({select('loyalty_table_bytes')}[15m]) + deriv({select('loyalty_index_bytes')}[15m])"
    return Row(
        "Size and upkeep",
        [
            graph(
                "Size",
                "bytes",
                [
                    Query(_largest("loyalty_table_bytes"), "{{table}}"),
                    Query(_largest("loyalty_index_bytes"), "{{table}}, indexes"),
                ],
                "With all partitions.",
                is_stacked=True,
            ),
            graph(
                "Growth",
                "Bps",
                [Query(f"max by (table) ({growth})", "{{table}}")],
                "Table and indexes, over 15 minutes.",
            ),
            graph(
                "Dead rows of the accounts, of the table",
                "percentunit",
                [Query(dead_share, "dead")],
                "Autovacuum comes at 20 % dead rows.",
                limit=limit("LoyaltyDeadTuples"),
            ),
        ],
    )


def _standbys() -> Row:
    lag = f"max by (replica) ({select('loyalty_replica_lag_seconds')})"
    age = f"max by (item) (time() - {select('loyalty_measured_timestamp_seconds')})"
    return Row(
        "Standbys, and how old what is shown here is",
        [
            graph(
                "Replay lag",
                "s",
                [Query(lag, "{{replica}}")],
                "What a failover to that standby would wait for. Empty if none streams.",
                limit=limit("LoyaltyReplicaLag"),
            ),
            graph(
                "Synchronous standbys",
                "short",
                [
                    Query(f"min({select('loyalty_sync_standbys')})", "connected"),
                    Query(f"max({select('loyalty_sync_standbys_wanted')})", "wanted"),
                ],
                "Fewer connected than wanted: COMMIT hangs. No number: the owner may not see them.",
            ),
            graph(
                "Since it was measured",
                "s",
                [
                    Query(age, "{{item}}"),
                    Query(f"max({select('loyalty_measure_interval_seconds')})", "interval"),
                ],
                "By the server that is furthest behind. Several intervals: it can't be measured.",
            ),
        ],
    )


def _largest(metric: str) -> str:
    """By table; every server measures the same database."""
    return f"max by (table) ({select(metric)})"
