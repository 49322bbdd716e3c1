"""Many times as much in flight as a worker takes on: what becomes of its memory."""

from collections.abc import Iterator
from statistics import median
from typing import Final

from benchmarks.compare.calls import CallLoad
from benchmarks.compare.client import Client, Load
from benchmarks.compare.figures import Figures, figure
from benchmarks.compare.names import OVERLOAD_BATCH, OVERLOAD_NATIVE, OVERLOAD_UNARY
from benchmarks.compare.settings import BATCH_OPS
from benchmarks.compare.shapes import batch_of
from benchmarks.compare.subjects import World
from benchmarks.compare.till import Till
from benchmarks.compare.wire import Counted, WireLoad
from benchmarks.memory import MemoryWatch
from benchmarks.service import Service
from processor.config import Settings

_RUNS: Final = 2
# As of many tills, lest the windows of a few connections hold everything back.
_CONNECTIONS: Final = 50
_MIB: Final = 2**20
# The first and the last part of a run that are compared: before, queues fill up; at the end, they empty.
_PARTS: Final = 5


def measure_overload(world: World) -> Iterator[tuple[str, Figures]]:
    """The figures by name. Raises BenchmarkError."""
    times, service = world.settings.overload_times, world.service
    batches, calls = times * _default("queue_ops_max") // BATCH_OPS, times * _default("calls_max")
    batch_load = CallLoad(_till(world, service), batch_of(BATCH_OPS), batches)
    yield OVERLOAD_BATCH, _measure(service, batch_load, batches * BATCH_OPS)
    yield OVERLOAD_UNARY, _measure(service, WireLoad(_till(world, service), calls), calls)
    if world.native:
        load = WireLoad(_till(world, world.native), calls)
        yield OVERLOAD_NATIVE, _measure(world.native, load, calls)


def _till(world: World, service: Service) -> Till:
    return world.till(target=service.target, connections=_CONNECTIONS)


def _default(setting: str) -> int:
    default: int = Settings.model_fields[setting].default
    return default


def _measure(service: Service, load: Load, in_flight: int) -> Figures:
    """Send several times as many operations as are in flight."""
    operations = _RUNS * in_flight
    with Client(Counted(load)) as client:
        client.prepare(operations)
        with MemoryWatch(service.server_pid) as watch:
            ran = client.run()
    part = len(watch.resident_bytes) // _PARTS
    early, late = watch.resident_bytes[part : 2 * part], watch.resident_bytes[-2 * part : -part]
    columns = {
        "resident_mib": max(watch.resident_bytes) / _MIB,
        "resident_growth": median(late) / median(early) - 1,
        "refused_share": ran.failed_calls / operations,
        "in_flight": in_flight,
    }
    return {name: each for name, value in columns.items() if (each := figure([value]))}
