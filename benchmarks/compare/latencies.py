"""How long a call takes: alone on an idle service, and at half of what the service can do."""

from typing import Final

from benchmarks.compare.calls import CALL
from benchmarks.compare.client import Client, Percentiles, Ran
from benchmarks.compare.figures import Figures, figure
from benchmarks.compare.idle import TRANSACTION, IdleLoad
from benchmarks.compare.open_loop import OpenLoad
from benchmarks.compare.settings import Settings
from benchmarks.compare.shapes import ACCRUE
from benchmarks.compare.subjects import World

_IDLE_CALLS: Final = 200


def measure_idle(world: World) -> Figures:
    """One call at a time, beside the transaction that it takes. Raises BenchmarkError."""
    with Client(IdleLoad(world.till(), world.own_chain(world.chains.idle_id))) as client:
        ran = _rounds(client, world.settings.rounds, _IDLE_CALLS)
    calls, transactions = ([each.latencies[name].p50_ms for each in ran] for name in (CALL, TRANSACTION))
    return _figures(
        call_p50_ms=calls,
        transaction_p50_ms=transactions,
        p50_to_transaction=[call / other for call, other in zip(calls, transactions, strict=True)],
    )


def measure_half_peak(world: World, peak_per_second: float) -> Figures:
    """Open-loop unary calls at half of that rate. Raises BenchmarkError."""
    rate = peak_per_second / 2
    calls = max(100, round(rate * seconds_of(world.settings)))
    with Client(OpenLoad(world.till(), ACCRUE, rate)) as client:
        ran = _rounds(client, world.settings.rounds, calls)
    percentiles = [_percentiles_of(each) for each in ran]
    return _figures(
        calls_per_second=[rate] * len(ran),
        p50_ms=[each.p50_ms for each in percentiles],
        p99_ms=[each.p99_ms for each in percentiles],
        p99_to_p50=[each.p99_ms / each.p50_ms for each in percentiles],
        failed_calls=[each.failed_calls for each in ran],
    )


def seconds_of(settings: Settings) -> float:
    """How long a round of open-loop calls lasts: long enough for a percentile to be one."""
    return max(settings.seconds, 1.0) if settings.is_quick else settings.seconds


def _rounds(client: Client, rounds: int, operations: int) -> list[Ran]:
    """The first one warms up."""
    ran = []
    for _ in range(rounds + 1):
        client.prepare(operations)
        ran.append(client.run())
    return ran[1:]


def _percentiles_of(ran: Ran) -> Percentiles:
    return ran.latencies[CALL]


def _figures(**columns: list[float]) -> Figures:
    return {name: each for name, values in columns.items() if (each := figure(values))}
