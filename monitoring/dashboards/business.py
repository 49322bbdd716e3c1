"""What the loyalty programs do: points, liability, refusals, and tills that misbehave."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.panels import CHAIN, QUARTER, Query, Row, figure, frame, graph, rate, select
from monitoring.rules import limit

_DAY: Final = "24h"


def business() -> Dashboard:
    """The dashboard."""
    return frame(
        "loyalty-business",
        "Loyalty / Business",
        "What the programs do: points issued, redeemed and owed, by chain, and tills that misbehave.",
        [_today(), _points(), _operations(), _tills(), _proof()],
        since="now-24h",
        refresh="1m",
    )


def _today() -> Row:
    operations = f"sum(increase({select('loyalty_operations_total', CHAIN, _APPLIED)}[{_DAY}]))"
    issued = _of_day("loyalty_points_issued_total", _EARNING)
    redeemed = _of_day("loyalty_points_redeemed_total", _SPENDING)
    replays = rate("loyalty_replays_total", CHAIN)
    everything = f"({replays} + {rate('loyalty_operations_total', CHAIN)})"
    return Row(
        "In 24 hours",
        [
            figure("Operations applied", "short", operations, "In 24 hours."),
            figure("Points issued", "short", issued, "By sales, in 24 hours."),
            figure("Points redeemed", "short", redeemed, "By sales and orders, in 24 hours."),
            figure("Redeemed, of issued", "percentunit", f"{redeemed} / {issued}", "In 24 hours."),
            figure(
                "Points owed",
                "short",
                f"sum(max by (chain) ({select('loyalty_outstanding_points', CHAIN)}))",
                "The liability: the sum of all balances, now.",
            ),
            figure(
                "Repeats, of all",
                "percentunit",
                f"{replays} / {everything}",
                "Operations that the ledger answered, now.",
            ),
        ],
    )


_APPLIED: Final = 'outcome="APPLIED"'
_EARNING: Final = 'kind=~"accrue|checkout"'
_SPENDING: Final = 'kind=~"redeem|checkout|capture"'
_ADJUSTING: Final = 'kind="adjust"'
_UNDOING: Final = 'kind=~"reverse|return"'


def _proof() -> Row:
    last_run = f"max({select('loyalty_verify_last_run_timestamp_seconds')})"
    return Row(
        "Proof: `loyalty-processor verify`, and what time is to do",
        [
            figure(
                "Since the last one",
                "s",
                f"time() - {last_run}",
                "Decades: there was none yet.",
                span=QUARTER,
                bad_above=limit("LoyaltyVerifyNotRun"),
            ),
            figure(
                "Differences",
                "short",
                f"max({select('loyalty_verify_differences')})",
                "Between the balances and what the ledger's rows add up to.",
                span=QUARTER,
                bad_above=1,
            ),
            figure(
                "Operations verified",
                "short",
                f"max({select('loyalty_verify_operations')})",
                "Read, hashed and added up.",
                span=QUARTER,
            ),
            figure(
                "Expiry behind time",
                "s",
                f"max({select('loyalty_due_lag_seconds')})",
                "How long the oldest activation, expiry or hold's end has waited.",
                span=QUARTER,
                bad_above=limit("LoyaltyExpiryJobLate"),
            ),
        ],
    )


def _of_day(counter: str, matcher: str) -> str:
    return f"sum(increase({select(counter, CHAIN, matcher)}[{_DAY}]))"


def _points() -> Row:
    owed = f"max by (chain) ({select('loyalty_outstanding_points', CHAIN)})"
    return Row(
        "Points",
        [
            graph(
                "Issued, redeemed and expired",
                "short",
                [
                    Query(rate("loyalty_points_issued_total", CHAIN, _EARNING), "issued"),
                    Query(rate("loyalty_points_redeemed_total", CHAIN, _SPENDING), "redeemed"),
                    Query(rate("loyalty_points_expired_total", CHAIN), "expired"),
                    Query(rate("loyalty_points_redeemed_total", CHAIN, _UNDOING), "taken back"),
                    Query(rate("loyalty_points_issued_total", CHAIN, _UNDOING), "given back"),
                    Query(rate("loyalty_points_issued_total", CHAIN, _ADJUSTING), "added by adjustments"),
                ],
                "Points a second.",
            ),
            graph(
                "Issued by chain",
                "short",
                [Query(rate("loyalty_points_issued_total", CHAIN, _EARNING, by="chain"), "{{chain}}")],
                "Points a second.",
            ),
            graph("Owed by chain", "short", [Query(owed, "{{chain}}")], "The liability.", is_stacked=True),
        ],
    )


def _operations() -> Row:
    applied = rate("loyalty_operations_total", CHAIN, _APPLIED, by="kind")
    by_chain = rate("loyalty_operations_total", CHAIN, _APPLIED, by="chain")
    refused = rate("loyalty_refusals_total", CHAIN, by="reason")
    return Row(
        "Operations",
        [
            graph("Applied by kind", "ops", [Query(applied, "{{kind}}")], "Effects.", is_stacked=True),
            graph("Applied by chain", "ops", [Query(by_chain, "{{chain}}")], "Effects."),
            graph("Refused by reason", "ops", [Query(refused, "{{reason}}")], "What tills hear."),
        ],
    )


def _tills() -> Row:
    replays = rate("loyalty_replays_total", CHAIN, by="chain")
    operations = rate("loyalty_operations_total", CHAIN, by="chain")
    conflicts = f"sum by (chain, terminal) (increase({select('loyalty_key_conflicts_total', CHAIN)}[15m]))"
    clocks = rate("loyalty_operations_total", CHAIN, 'outcome="OCCURRED_AT_OUT_OF_WINDOW"', by="chain")
    return Row(
        "Tills",
        [
            graph(
                "Repeats, of new operations",
                "percentunit",
                [Query(f"{replays} / {operations}", "{{chain}}")],
                "Many: tills do not get, or do not keep, their replies.",
                limit=limit("LoyaltyReplayStorm"),
            ),
            graph(
                "Reused keys in 15 minutes, by terminal",
                "short",
                [Query(f"topk(10, {conflicts} > 0)", "{{chain}}: {{terminal}}")],
                "Operations refused because their key belongs to another payload.",
                limit=limit("LoyaltyKeyConflictStorm"),
            ),
            graph(
                "Out of the window, of all",
                "percentunit",
                [Query(f"{clocks} / {operations}", "{{chain}}")],
                "Tills with a wrong clock, or offline for too long.",
                limit=limit("LoyaltyClockStorm"),
            ),
        ],
    )
