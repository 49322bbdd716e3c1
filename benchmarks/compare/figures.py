"""From samples to figures: medians with their spread, and ratios within each round."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, NamedTuple

from benchmarks.compare.measure import Sample
from benchmarks.compare.rounds import Round

FLOOR: Final = "floor"
EMPTY: Final = "empty handler"
UNTRACED: Final = "unary"
TRACED: Final = "unary, 1 % traced"
RICH: Final = "unary, rich program"
BASKET: Final = "checkout of 30 lines, rich"


class Figure(NamedTuple):
    """The median of the rounds, the least and the greatest of them, and all of them in order."""

    median: float
    low: float
    high: float
    rounds: Sequence[float]


# The figures of one subject by name; one that the subject does not have is absent.
Figures = dict[str, Figure]

_Ratio = Callable[[Sample, Round], float | None]


def figures(rounds: Sequence[Round]) -> dict[str, Figures]:
    """The figures of every subject, by its name."""
    return {name: _figures(name, rounds) for name in rounds[0]}


def _figures(name: str, rounds: Sequence[Round]) -> Figures:
    columns = {
        column: [getattr(samples[name], column) for samples in rounds] for column in Sample._fields
    } | {ratio: [calculate(samples[name], samples) for samples in rounds] for ratio, calculate in _RATIOS}
    return {column: figure for column, values in columns.items() if (figure := _figure(values))}


def _figure(values: Sequence[float | None]) -> Figure | None:
    there = [round(value, 3) for value in values if value is not None]
    return Figure(median(there), min(there), max(there), there) if there else None


def _throughput_to(name: str) -> _Ratio:
    return lambda sample, samples: sample.operations_per_second / samples[name].operations_per_second


def _cpu_to_floor(sample: Sample, samples: Round) -> float | None:
    """What server and PostgreSQL spend on an operation, in multiples of PostgreSQL at the floor."""
    return (sample.server_us + sample.postgres_us) / samples[FLOOR].postgres_us


def _server_to_unary(sample: Sample, samples: Round) -> float | None:
    """What the server spends on an operation, in multiples of a plain unary accrual, untraced."""
    compared = [samples[name] for name in (TRACED, RICH, BASKET)]
    is_compared = any(sample is each for each in compared)
    return sample.server_us / samples[UNTRACED].server_us if is_compared else None


_RATIOS: Final[Sequence[tuple[str, _Ratio]]] = (
    ("throughput_to_floor", _throughput_to(FLOOR)),
    ("throughput_to_empty_handler", _throughput_to(EMPTY)),
    ("cpu_to_floor", _cpu_to_floor),
    ("server_to_unary", _server_to_unary),
)
