"""Whether the service keeps its promises: the first page to open."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.panels import (
    CHAIN,
    QUARTER,
    SERVER,
    SINGLE_WRITES,
    WRITES,
    Query,
    Row,
    figure,
    frame,
    graph,
    quantile,
    quantiles,
    rate,
    select,
)
from monitoring.rules import latency_objective_seconds, limit, limits

_WINDOWS: Final = 'window=~"5m|1h|3d"'
_AVAILABILITY: Final = 'slo=~"operations|calls"'
_LATENCY: Final = 'slo="latency"'
_OUR_FAULTS: Final = 'grpc_code=~"UNAVAILABLE|INTERNAL|RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED"'
_FIRING: Final = f'ALERTS{{alertname=~"Loyalty.*", alertstate="firing", {SERVER}}}'
_REFUSED: Final = 'outcome!="APPLIED"'


def overview() -> Dashboard:
    """The dashboard."""
    return frame(
        "loyalty-overview",
        "Loyalty / Overview",
        "Whether the service keeps its promises, and to whom it does not.",
        [_now(), _objectives(), _calls(), _chains()],
    )


def _now() -> Row:
    workers = f"sum({select('loyalty_workers_serving')}) / sum({select('loyalty_workers')})"
    failing = f"({rate('grpc_server_handled_total', WRITES, _OUR_FAULTS)} or vector(0))"
    return Row(
        "Now",
        [
            figure("Workers serving", "percentunit", workers, "Of those that should.", bad_below=1),
            figure(
                "PostgreSQL takes writes",
                "percentunit",
                f"avg({select('loyalty_database_up')})",
                "Servers whose last probe could write.",
                bad_below=1,
            ),
            figure("Operations", "ops", rate("loyalty_operations_total", CHAIN), "Repeats are not counted."),
            figure(
                "Calls failed by us",
                "percentunit",
                f"{failing} / {rate('grpc_server_handled_total', WRITES)}",
                "Of the calls that write; red at the fast burn of the budget.",
                bad_above=limit("LoyaltyAvailabilityBudgetBurn"),
            ),
            figure(
                "Latency p99",
                "s",
                quantile(0.99, "grpc_server_handling_seconds", SINGLE_WRITES),
                "Of calls of one write; red above the objective.",
                bad_above=latency_objective_seconds(),
            ),
            figure(
                "Alerts firing", "short", f"count({_FIRING}) or vector(0)", "Of this service.", bad_above=1
            ),
        ],
    )


def _objectives() -> Row:
    availability, latency = limits("LoyaltyAvailabilityBudgetBurn"), limits("LoyaltyLatencyBudgetBurn")
    return Row(
        "Objectives",
        [
            graph(
                "Failed by us, by window",
                "percentunit",
                [Query(select("loyalty:slo_bad:ratio", _AVAILABILITY, _WINDOWS), "{{slo}}, {{window}}")],
                "Operations and calls that failed through the service's fault; the line is the fast burn.",
                span=QUARTER,
                limit=availability[0],
            ),
            graph(
                "Slow, by window",
                "percentunit",
                [Query(select("loyalty:slo_bad:ratio", _LATENCY, _WINDOWS), "{{window}}")],
                "Calls that took longer than the objective; the line is the fast burn.",
                span=QUARTER,
                limit=latency[0],
            ),
            graph(
                "Budget left",
                "percentunit",
                [
                    Query(_budget_left(_AVAILABILITY, availability[-1]), "{{slo}}"),
                    Query(_budget_left(_LATENCY, latency[-1]), "{{slo}}"),
                ],
                "Of what may fail, or be slow, in 30 days.",
                span=QUARTER,
            ),
            graph(
                "Alerts firing",
                "short",
                [Query(f"sum by (alertname) ({_FIRING})", "{{alertname}}")],
                "Each has a runbook page.",
                span=QUARTER,
                is_stacked=True,
            ),
        ],
    )


def _budget_left(objective: str, allowed_share: float) -> str:
    bad = f"sum_over_time({select('loyalty:slo_bad_events:rate5m', objective)}[30d])"
    everything = f"sum_over_time({select('loyalty:slo_events:rate5m', objective)}[30d])"
    return f"clamp_min(1 - {bad} / {everything} / {allowed_share:g}, 0)"


def _calls() -> Row:
    calls = rate("grpc_server_handled_total", WRITES, by="grpc_method")
    failed = rate("loyalty_calls_total", CHAIN, 'code!="OK"', by="chain, code")
    return Row(
        "Calls",
        [
            graph("Calls by method", "reqps", [Query(calls, "{{grpc_method}}")], "Those that write."),
            graph(
                "Calls that did not end with OK",
                "reqps",
                [Query(failed, "{{chain}}: {{code}}")],
                "FAILED_PRECONDITION and the like are answers to tills; UNAVAILABLE, INTERNAL: our fault.",
            ),
            graph(
                "Latency of writes",
                "s",
                quantiles("grpc_server_handling_seconds", SINGLE_WRITES),
                "Of calls of one write; the line is the objective.",
                limit=latency_objective_seconds(),
            ),
        ],
    )


def _chains() -> Row:
    operations = rate("loyalty_operations_total", CHAIN, by="chain")
    refused = rate("loyalty_operations_total", CHAIN, _REFUSED, by="outcome")
    slowest = quantile(0.99, "loyalty_call_seconds", CHAIN, by="chain")
    return Row(
        "Chains",
        [
            graph("Operations by chain", "ops", [Query(operations, "{{chain}}")], "Without repeats."),
            graph(
                "Refusals by reason",
                "ops",
                [Query(refused, "{{outcome}}")],
                "What tills are told, as in the contract's ErrorReason.",
            ),
            graph(
                "Latency p99 by chain",
                "s",
                [Query(slowest, "{{chain}}")],
                "Of all calls, batches and streams included.",
            ),
        ],
    )
