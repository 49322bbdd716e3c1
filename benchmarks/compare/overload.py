"""Many times as much in flight as a worker takes on: what becomes of its memory."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from benchmarks.compare.calls import CallLoad
from benchmarks.compare.client import Client, Load, Ran
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

# All begin at once; then the same load goes on for so many runs: what is refused is followed by other calls.
_TIMES_AT_FIRST: Final = 2
_RUNS: Final = 4
# As of many tills, lest the windows of a few connections hold everything back.
_CONNECTIONS: Final = 50
_MIB: Final = 2**20
_PARTS: Final = 5


def measure_overload(world: World) -> Iterator[tuple[str, Figures]]:
    """The figures by name. Raises BenchmarkError."""
    times, service = world.settings.overload_times, world.service
    batches, calls = times * _default("queue_ops_max") // BATCH_OPS, times * _default("calls_max")
    batch_load = CallLoad(_till(world, service), batch_of(BATCH_OPS), batches)
    seconds = _RUNS * world.settings.seconds
    yield OVERLOAD_BATCH, _measure(service, batch_load, batches * BATCH_OPS, seconds, call_ops=BATCH_OPS)
    yield OVERLOAD_UNARY, _measure(service, WireLoad(_till(world, service), calls), calls, seconds)
    if world.native:
        load = WireLoad(_till(world, world.native), calls)
        yield OVERLOAD_NATIVE, _measure(world.native, load, calls, seconds)


def _till(world: World, service: Service) -> Till:
    return world.till(target=service.target, connections=_CONNECTIONS)


def _default(setting: str) -> int:
    default: int = Settings.model_fields[setting].default
    return default


def _measure(service: Service, load: Load, in_flight: int, seconds: float, *, call_ops: int = 1) -> Figures:
    """The highest of all, and the growth in the `seconds` that it goes on."""
    with Client(Counted(load)) as client:
        first, burst = _run(client, service, _TIMES_AT_FIRST * in_flight)
        operations = round(first.operations / first.seconds * seconds / call_ops) * call_ops
        ran, steady = _run(client, service, max(operations, _TIMES_AT_FIRST * in_flight))
    columns = {
        "resident_mib": max(*burst, *steady) / _MIB,
        "resident_growth": _growth(steady),
        "refused_share": ran.failed_calls * call_ops / ran.operations,
        "in_flight": in_flight,
    }
    return {name: each for name, value in columns.items() if (each := figure([value]))}


def _run(client: Client, service: Service, operations: int) -> tuple[Ran, list[int]]:
    """What became of them, and the worker's resident bytes meanwhile."""
    client.prepare(operations)
    with MemoryWatch(service.server_pid) as watch:
        ran = client.run()
    return ran, watch.resident_bytes


def _growth(resident_bytes: Sequence[int]) -> float:
    """From the second fifth to the fourth: before, queues fill up; at the end, they empty."""
    part = len(resident_bytes) // _PARTS
    early, late = resident_bytes[part : 2 * part], resident_bytes[-2 * part : -part]
    return median(late) / median(early) - 1
