"""Ten times as many operations in flight as a worker takes on: what becomes of its memory."""

from collections.abc import Iterator
from statistics import median
from typing import Final

from benchmarks.compare.calls import CallLoad, Overload
from benchmarks.compare.client import Client
from benchmarks.compare.figures import Figures, figure
from benchmarks.compare.names import OVERLOAD_BATCH, OVERLOAD_UNARY
from benchmarks.compare.settings import BATCH_OPS
from benchmarks.compare.shapes import ACCRUE, Shape, batch_of
from benchmarks.compare.subjects import World
from benchmarks.memory import MemoryWatch
from processor.config import Settings

_TIMES: Final = 10
_MIB: Final = 2**20
# The first and the last part of a run that are compared: before, queues fill up; at the end, they empty.
_PARTS: Final = 5


def measure_overload(world: World) -> Iterator[tuple[str, Figures]]:
    """The figures by name. Raises BenchmarkError."""
    queue_ops, calls = _default("queue_ops_max"), _default("calls_max")
    yield OVERLOAD_BATCH, _measure(world, batch_of(BATCH_OPS), _TIMES * queue_ops // BATCH_OPS, 2)
    yield OVERLOAD_UNARY, _measure(world, ACCRUE, _TIMES * calls, 2)


def _default(setting: str) -> int:
    default: int = Settings.model_fields[setting].default
    return default


def _measure(world: World, shape: Shape, in_flight: int, times: int) -> Figures:
    """Send so many times what is in flight."""
    operations = times * in_flight * shape.operations
    with Client(Overload(CallLoad(world.till(), shape, in_flight))) as client:
        client.prepare(operations)
        with MemoryWatch(world.service.server_pid) as watch:
            ran = client.run()
    part = len(watch.resident_bytes) // _PARTS
    early, late = watch.resident_bytes[part : 2 * part], watch.resident_bytes[-2 * part : -part]
    columns = {
        "resident_mib": max(watch.resident_bytes) / _MIB,
        "resident_growth": median(late) / median(early) - 1,
        "refused_share": ran.failed_calls / operations,
        "in_flight": in_flight * shape.operations,
    }
    return {name: each for name, value in columns.items() if (each := figure([value]))}
