"""What the service sets itself to reach, beside what was measured."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from benchmarks.compare.figures import Figure, Figures
from benchmarks.compare.names import (
    BASKET,
    BATCH,
    CHAINS,
    GROWTH,
    HALF_PEAK,
    HALF_PEAK_NATIVE,
    HOT_BATCH,
    HOT_UNARY,
    IDLE,
    IDLE_NATIVE,
    NATIVE,
    OVERLOAD_BATCH,
    OVERLOAD_NATIVE,
    OVERLOAD_UNARY,
    RICH,
    UNARY,
)


class Target(NamedTuple):
    """A bound for the median of one figure of a subject."""

    name: str
    subject: str
    figure: str
    bound: float
    is_at_most: bool

    def is_met_by(self, value: float) -> bool:
        """Whether the value keeps the bound."""
        return value <= self.bound if self.is_at_most else value >= self.bound


class Judged(NamedTuple):
    """A target with its figure; both are None where nothing was measured."""

    target: Target
    figure: Figure | None
    is_met: bool | None


def _at_most(name: str, subject: str, figure: str, bound: float) -> Target:
    return Target(name, subject, figure, bound, is_at_most=True)


def _at_least(name: str, subject: str, figure: str, bound: float) -> Target:
    return Target(name, subject, figure, bound, is_at_most=False)


TARGETS: Final[Sequence[Target]] = (
    _at_most("batch of 500: CPU to the floor's", BATCH, "cpu_to_floor", 1.6),
    _at_least("batch of 500: throughput to the floor's", BATCH, "throughput_to_floor", 0.6),
    _at_least("unary, native: throughput to an empty handler's", NATIVE, "throughput_to_empty_handler", 2.5),
    _at_least("unary, grpcio: throughput to an empty handler's", UNARY, "throughput_to_empty_handler", 0.6),
    _at_least("unary, native: throughput to row-at-a-time's", NATIVE, "throughput_to_row_at_a_time", 5),
    _at_least("unary, grpcio: throughput to row-at-a-time's", UNARY, "throughput_to_row_at_a_time", 5),
    _at_most("rich program: server CPU to a plain accrual's", RICH, "server_to_unary", 1.25),
    _at_most("checkout of 30 lines, rich program: the same", BASKET, "server_to_unary", 2.0),
    _at_most("idle, native: p50 of a call to its transaction's", IDLE_NATIVE, "p50_to_transaction", 2.5),
    _at_most("idle, grpcio: p50 of a call to its transaction's", IDLE, "p50_to_transaction", 2.5),
    _at_most("half of the peak, native: p99 to p50", HALF_PEAK_NATIVE, "p99_to_p50", 10),
    _at_most("half of the peak, native: failed calls", HALF_PEAK_NATIVE, "failed_calls", 0),
    _at_most("half of the peak, grpcio: p99 to p50", HALF_PEAK, "p99_to_p50", 10),
    _at_most("half of the peak, grpcio: failed calls", HALF_PEAK, "failed_calls", 0),
    _at_least("one member: unary throughput to all members'", HOT_UNARY, "throughput_to_all_members", 1),
    _at_least("one member: batch throughput to all members'", HOT_BATCH, "throughput_to_all_members", 1),
    _at_least("200 chains: throughput to one chain's", CHAINS, "throughput_to_one_chain", 0.6),
    _at_least("largest ledger: throughput to the smallest's", GROWTH, "throughput_to_smallest", 0.85),
    *(
        _at_most(f"{name}: {what}", name, figure, bound)
        for name in (OVERLOAD_BATCH, OVERLOAD_UNARY, OVERLOAD_NATIVE)
        for what, figure, bound in (
            ("MiB of a worker", "resident_mib", 200),
            ("growth of it", "resident_growth", 0.1),
        )
    ),
)


def judge(figures: Mapping[str, Figures]) -> list[Judged]:
    """All targets, by the figures of their subjects."""
    return [_judged(target, figures.get(target.subject, {}).get(target.figure)) for target in TARGETS]


def _judged(target: Target, figure: Figure | None) -> Judged:
    return Judged(target, figure, target.is_met_by(figure.median) if figure else None)
