"""The same load, lighter and heavier: what throughput costs in latency, and how batches grow."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from benchmarks.compare.calls import CallLoad
from benchmarks.compare.client import Client
from benchmarks.compare.figures import Figures, figures
from benchmarks.compare.measure import Processes, Subject
from benchmarks.compare.rounds import run_rounds, runs
from benchmarks.compare.settings import Settings
from benchmarks.compare.shapes import ACCRUE
from benchmarks.compare.subjects import World

_IN_FLIGHT: Final = (1, 4, 16, 64, 256, 512, 1024)
_ROUNDS_MAX: Final = 3
_SECONDS_MAX: Final = 1.0


def sweep_runs(settings: Settings) -> int:
    """How many times `on_run` is told."""
    return runs(len(_IN_FLIGHT), _rounds(settings))


def _rounds(settings: Settings) -> int:
    return min(settings.rounds, _ROUNDS_MAX)


def measure_sweep(world: World, on_run: Callable[[str], None]) -> dict[str, Figures]:
    """The figures of unary calls, by how many are in flight. Raises BenchmarkError."""
    with ExitStack() as stack:
        subjects = [_subject(world, in_flight, stack) for in_flight in _IN_FLIGHT]
        seconds = min(world.settings.seconds, _SECONDS_MAX)
        return figures(run_rounds(subjects, _rounds(world.settings), seconds, on_run))


def _subject(world: World, in_flight: int, stack: ExitStack) -> Subject:
    client = stack.enter_context(Client(CallLoad(world.till(), ACCRUE, in_flight)))
    service = world.service
    processes = Processes(service.server_pid, service.postgres_pid)
    return Subject(str(in_flight), client, processes, service.metrics_url)
