"""Interleaved rounds: every subject once a round, so that what the machine does besides meets them all."""

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.compare.measure import Sample, Subject, measure

# Fewer tell nothing of a 99th percentile; the first run has as many.
_OPERATIONS_MIN: Final = 200
_OPERATIONS_STEP: Final = 100
# What is slow needs longer runs to be steady.
_SLOW_FACTOR: Final = 4 / 3
# The first connects, the second fills caches and tells how many operations fill the time.
_WARM_UP_ROUNDS: Final = 2

# A sample of every subject by its name, taken one right after the other.
Round = dict[str, Sample]


def run_rounds(
    subjects: Sequence[Subject], rounds: int, seconds: float, on_run: Callable[[str], None]
) -> list[Round]:
    """Measure each subject for about `seconds` a round, slow ones a third longer.

    `on_run` is told what runs. Raises BenchmarkError.
    """
    operations = {subject.name: _OPERATIONS_MIN for subject in subjects}
    done: list[Round] = []
    for number in range(_WARM_UP_ROUNDS + rounds):
        samples: Round = {}
        for subject in _rotated(subjects, number):
            on_run(subject.name)
            sample = measure(subject, operations[subject.name])
            operations[subject.name] = _operations_in(sample, _seconds_of(subject, seconds))
            samples[subject.name] = sample
        done.append({subject.name: samples[subject.name] for subject in subjects})
    return done[_WARM_UP_ROUNDS:]


def runs(subjects: int, rounds: int) -> int:
    """How many times `on_run` is told."""
    return subjects * (_WARM_UP_ROUNDS + rounds)


def _rotated(subjects: Sequence[Subject], number: int) -> list[Subject]:
    """Begin with another one each time, so that none always runs after the same one."""
    start = number % len(subjects)
    return [*subjects[start:], *subjects[:start]]


def _seconds_of(subject: Subject, seconds: float) -> float:
    return seconds * _SLOW_FACTOR if subject.is_slow else seconds


def _operations_in(sample: Sample, seconds: float) -> int:
    """How many take about so long."""
    steps = round(sample.operations_per_second * seconds / _OPERATIONS_STEP)
    return max(_OPERATIONS_MIN, steps * _OPERATIONS_STEP)
