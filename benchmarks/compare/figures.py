"""From samples to figures: medians with their spread, and ratios within each round."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from benchmarks.compare.measure import Sample
from benchmarks.compare.names import (
    BASKET,
    BATCH,
    CHAINS,
    EMPTY,
    FLOOR,
    HOT_BATCH,
    HOT_UNARY,
    NATIVE,
    RICH,
    ROW,
    TRACED,
    UNARY,
)
from benchmarks.compare.rounds import Round


class Figure(NamedTuple):
    """The median of the rounds, the least and the greatest of them, and all of them in order."""

    median: float
    low: float
    high: float
    rounds: Sequence[float]

    @property
    def spread(self) -> float:
        """Half of what lies between the least and the greatest, as a share of the median."""
        return (self.high - self.low) / 2 / abs(self.median) if self.median else 0.0


# The figures of one subject by name; one that the subject does not have is absent.
Figures = dict[str, Figure]

_Ratio = Callable[[str, Round], float | None]


def figures(rounds: Sequence[Round]) -> dict[str, Figures]:
    """The figures of every subject, by its name."""
    return {name: _figures(name, rounds) for name in rounds[0]}


def figure(values: Sequence[float | None]) -> Figure | None:
    """Of one value a round; None if no round has any."""
    there = [round(value, 3) for value in values if value is not None]
    return Figure(median(there), min(there), max(there), there) if there else None


def _figures(name: str, rounds: Sequence[Round]) -> Figures:
    columns = {
        column: [getattr(samples[name], column) for samples in rounds] for column in Sample._fields
    } | {ratio: [calculate(name, samples) for samples in rounds] for ratio, calculate in _RATIOS}
    return {column: each for column, values in columns.items() if (each := figure(values))}


def _throughput_to(other: str) -> _Ratio:
    """Beside another subject's."""
    return lambda name, samples: _throughput_ratio(samples, name, other)


def _throughput_beside(others: Mapping[str, str]) -> _Ratio:
    """Of some subjects, beside that of another each."""
    return lambda name, samples: _throughput_ratio(samples, name, others[name]) if name in others else None


def _throughput_ratio(samples: Round, name: str, other: str) -> float | None:
    if other not in samples:
        return None
    return samples[name].operations_per_second / samples[other].operations_per_second


def _cpu_to_floor(name: str, samples: Round) -> float | None:
    """What server and PostgreSQL spend on an operation, in multiples of PostgreSQL at the floor."""
    if FLOOR not in samples:
        return None
    return (samples[name].server_us + samples[name].postgres_us) / samples[FLOOR].postgres_us


def _server_to_unary(name: str, samples: Round) -> float | None:
    """What the server spends on an operation, in multiples of a plain unary accrual, untraced."""
    is_compared = name in {TRACED, RICH, BASKET}
    return samples[name].server_us / samples[UNARY].server_us if is_compared else None


_RATIOS: Final[Sequence[tuple[str, _Ratio]]] = (
    ("throughput_to_floor", _throughput_to(FLOOR)),
    ("throughput_to_empty_handler", _throughput_to(EMPTY)),
    ("cpu_to_floor", _cpu_to_floor),
    ("server_to_unary", _server_to_unary),
    ("throughput_to_row_at_a_time", _throughput_beside({UNARY: ROW, NATIVE: ROW})),
    ("throughput_to_one_chain", _throughput_beside({CHAINS: UNARY})),
    ("throughput_to_all_members", _throughput_beside({HOT_UNARY: UNARY, HOT_BATCH: BATCH})),
)
