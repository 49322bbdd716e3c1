"""How long a call takes: alone on an idle service, and at half of what the service can do."""

from typing import Final

from benchmarks.compare.client import Client, Ran
from benchmarks.compare.figures import Figures, figure
from benchmarks.compare.idle import IdleLoad
from benchmarks.compare.percentiles import CALL, TRANSACTION
from benchmarks.compare.subjects import World
from benchmarks.compare.wire import Counted, WireLoad
from benchmarks.service import Service

_IDLE_CALLS: Final = 200
_QUICK_IDLE_CALLS: Final = 60


def measure_idle(world: World, service: Service, chain_id: int) -> Figures:
    """One call at a time, beside the transaction that it takes, of that chain. Raises BenchmarkError."""
    till, own = world.till(target=service.target), world.own_chain(chain_id)
    calls_of_round = _QUICK_IDLE_CALLS if world.settings.is_quick else _IDLE_CALLS
    with Client(IdleLoad(till, own)) as client:
        ran = _rounds(client, world.settings.rounds, calls_of_round)
    calls, transactions = ([each.latencies[name].p50_ms for each in ran] for name in (CALL, TRANSACTION))
    return _figures(
        call_p50_ms=calls,
        transaction_p50_ms=transactions,
        p50_to_transaction=[call / other for call, other in zip(calls, transactions, strict=True)],
    )


def measure_half_peak(world: World, service: Service, peak_per_second: float) -> Figures:
    """Open-loop unary calls at half of that rate. Raises BenchmarkError."""
    rate = peak_per_second / 2
    calls = max(100, round(rate * max(world.settings.seconds, 1.0)))
    load = WireLoad(world.till(target=service.target), calls_per_second=rate)
    with Client(Counted(load)) as client:
        ran = _rounds(client, world.settings.rounds, calls)
    latencies = [each.latencies[CALL] for each in ran]
    return _figures(
        calls_per_second=[rate] * len(ran),
        p50_ms=[each.p50_ms for each in latencies],
        p99_ms=[each.p99_ms for each in latencies],
        p99_to_p50=[each.p99_ms / each.p50_ms for each in latencies],
        failed_calls=[each.failed_calls for each in ran],
    )


def _rounds(client: Client, rounds: int, operations: int) -> list[Ran]:
    """The first one warms up."""
    ran = []
    for _ in range(rounds + 1):
        client.prepare(operations)
        ran.append(client.run())
    return ran[1:]


def _figures(**columns: list[float]) -> Figures:
    return {name: each for name, values in columns.items() if (each := figure(values))}
