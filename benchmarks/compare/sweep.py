"""The same load, lighter and heavier: what throughput costs in latency, and how batches grow."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from benchmarks.compare.client import Client
from benchmarks.compare.figures import Figures, figures
from benchmarks.compare.measure import Processes, Subject
from benchmarks.compare.rounds import run_rounds, runs
from benchmarks.compare.settings import Settings
from benchmarks.compare.subjects import World
from benchmarks.compare.wire import WireLoad
from benchmarks.service import Service

_IN_FLIGHT: Final = (1, 32, 128, 512, 1024)
_SECONDS_MAX: Final = 0.6


def sweep_runs(settings: Settings) -> int:
    """How many times `on_run` is told."""
    return runs(len(_IN_FLIGHT), settings.rounds)


def measure_sweep(world: World, service: Service, on_run: Callable[[str], None]) -> dict[str, Figures]:
    """The figures of unary calls, by how many are in flight. Raises BenchmarkError."""
    with ExitStack() as stack:
        subjects = [_subject(world, service, in_flight, stack) for in_flight in _IN_FLIGHT]
        seconds = min(world.settings.seconds, _SECONDS_MAX)
        return figures(run_rounds(subjects, world.settings.rounds, seconds, on_run))


def _subject(world: World, service: Service, in_flight: int, stack: ExitStack) -> Subject:
    load = WireLoad(world.till(target=service.target), in_flight)
    processes = Processes(service.server_pid, service.postgres_pid)
    return Subject(str(in_flight), stack.enter_context(Client(load)), processes, service.metrics_url)
