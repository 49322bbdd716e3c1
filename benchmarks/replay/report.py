"""The figures of a replay, for people and for machines."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import pandas as pd
from hdrh.histogram import HdrHistogram
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.replay.log import Standing

DIFFERENCES_SHOWN: Final = 20
# Lines that a program reads must not be broken at the width of a terminal that is not there.
_PIPED_COLUMNS: Final = 200


class Report(NamedTuple):
    """`calls` counts every copy of every receipt, `repeated_calls` those sent again because nobody knew."""

    mode: str
    households: int
    receipts: int
    returns: int
    lines: int
    receipts_left_out: int
    calls: int
    repeated_calls: int
    replays: int
    refusals: dict[str, int]
    earned_points: int
    redeemed_points: int
    expired_points: int
    balance_points: int
    seconds: float
    operations_per_second: float
    latency_ms: dict[str, float]
    differences: list[str]
    verified: bool | None

    @property
    def is_clean(self) -> bool:
        """Whether every answer and balance is what it must be, and `verify` found nothing."""
        return not self.differences and self.verified is not False


def make_report(
    log: pd.DataFrame,
    latencies_us: HdrHistogram,
    before: Mapping[int, Standing],
    after: Mapping[int, Standing],
    *,
    mode: str,
    lines: int,
    receipts_left_out: int,
    seconds: float,
    differences: list[str],
    verified: bool | None,
) -> Report:
    """`before` and `after` the receipts is where members stood.

    `verified` is None if `verify` could not be run.
    """
    calls = int(log.copies.sum())
    refused = log.reason[log.reason != ""]
    return Report(
        mode=mode,
        households=len(after),
        receipts=int((log.return_number == 0).sum()),
        returns=int((log.return_number > 0).sum()),
        lines=lines,
        receipts_left_out=receipts_left_out,
        calls=calls,
        repeated_calls=int(log.repeats.sum()),
        replays=int(log.replays.sum()),
        refusals={str(reason): int(count) for reason, count in refused.value_counts().items()},
        earned_points=int(log.earned_points.sum()),
        redeemed_points=int(log.redeemed_points.sum()),
        expired_points=int(log.earned_points.sum() - log.redeemed_points.sum()) - _grown(before, after),
        balance_points=sum(standing.balance_points for standing in after.values()),
        seconds=round(seconds, 2),
        operations_per_second=round(calls / seconds, 1),
        latency_ms={f"p{rank}": latencies_us.get_value_at_percentile(rank) / 1000 for rank in (50, 95, 99)},
        differences=differences,
        verified=verified,
    )


def _grown(before: Mapping[int, Standing], after: Mapping[int, Standing]) -> int:
    return sum(after[member].balance_points - before[member].balance_points for member in after)


def print_report(report: Report) -> None:
    """A table on standard output, then the first differences."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in _rows(report):
        table.add_row(name, value)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_COLUMNS
    console.print(table)
    for difference in report.differences[:DIFFERENCES_SHOWN]:
        console.print(difference, markup=False, soft_wrap=True)
    hidden = len(report.differences) - DIFFERENCES_SHOWN
    if hidden > 0:
        console.print(f"... and {hidden:,} more (--json lists them all)")


def _rows(report: Report) -> list[tuple[str, str]]:
    return [
        ("households", f"{report.households:,}"),
        ("receipts", f"{report.receipts:,}"),
        ("returns", f"{report.returns:,}"),
        ("lines", f"{report.lines:,}"),
        ("receipts of 0.00 in the year, left out", f"{report.receipts_left_out:,}"),
        (f"calls ({report.mode})", f"{report.calls:,}"),
        ("sent again, outcome unknown", f"{report.repeated_calls:,}"),
        ("replays", f"{report.replays:,}"),
        *((f"refused: {reason}", f"{count:,}") for reason, count in report.refusals.items()),
        ("points in", f"{report.earned_points:,}"),
        ("points out", f"{report.redeemed_points:,}"),
        ("points expired", f"{report.expired_points:,}"),
        ("balances", f"{report.balance_points:,}"),
        ("seconds", f"{report.seconds:,.1f}"),
        ("operations a second", f"{report.operations_per_second:,.0f}"),
        *((f"{rank} of a call", f"{value:,.1f} ms") for rank, value in report.latency_ms.items()),
        ("differences from the recomputation", f"{len(report.differences):,}"),
        ("verify", {True: "clean", False: "NOT CLEAN", None: "not run, needs --dsn"}[report.verified]),
    ]
