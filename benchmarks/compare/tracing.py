"""What the calls of tracing cost by themselves: far less than two servers differ by, so measured alone."""

import os
from collections.abc import Callable
from time import process_time
from typing import Final, NamedTuple

from processor.otel_tracing import OtelTracing
from processor.tracing import NO_TRACING, Tracing

SAMPLE_RATIO: Final = 0.01
_TIMES: Final = 20_000
# Fewer spans than wait for the exporter before it drops some.
_TRACED_TIMES: Final = 300
_METADATA: Final = (("authorization", f"Bearer lp_{'x' * 40}"), ("user-agent", "grpc-python-asyncio/1.0"))
_DESCRIPTION: Final = {"loyalty.chain": "bench", "loyalty.outcome": "APPLIED"}


class TracingCosts(NamedTuple):
    """Microseconds of CPU time of a call and of a batch; `traced_us` is both together, with the export."""

    off_call_us: float
    off_batch_us: float
    unsampled_call_us: float
    unsampled_batch_us: float
    traced_us: float

    def off_us(self, batch_ops: float) -> float:
        """Of a unary call whose batch has so many, without tracing."""
        return self.off_call_us + self.off_batch_us / batch_ops

    def on_us(self, batch_ops: float) -> float:
        """The same with tracing, as if each traced call had a batch for itself."""
        untraced_us = self.unsampled_call_us + self.unsampled_batch_us / batch_ops
        return untraced_us + SAMPLE_RATIO * self.traced_us


def tracing_costs(collector_url: str) -> TracingCosts:
    """Measure them in this process; spans go to that collector."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector_url
    unsampled, traced = OtelTracing(0, {}), OtelTracing(1, {})

    def trace() -> None:
        for _ in range(_TRACED_TIMES):
            with traced.call("Accrue", _METADATA) as span:
                _batch(traced, traced.link())
                span.describe(_DESCRIPTION)
        traced.close()

    costs = TracingCosts(
        _cpu_us(lambda: _call(NO_TRACING)),
        _cpu_us(lambda: _batch(NO_TRACING, None)),
        _cpu_us(lambda: _call(unsampled)),
        _cpu_us(lambda: _batch(unsampled, None)),
        _cpu_us(trace, times=1) / _TRACED_TIMES,
    )
    unsampled.close()
    return costs


def _call(tracing: Tracing) -> None:
    """What a handler and the batcher ask of it."""
    with tracing.call("Accrue", _METADATA) as span:
        tracing.link()
        span.describe(_DESCRIPTION)


def _batch(tracing: Tracing, link: object | None) -> None:
    """What a lane and the ledger ask of it."""
    with tracing.batch([link]):
        with tracing.step("load"):
            pass
        with tracing.step("save"):
            pass
        tracing.note_step("commit", 0.001)


def _cpu_us(work: Callable[[], None], times: int = _TIMES) -> float:
    """The CPU time of this process, its exporting threads included, for each time."""
    started = process_time()
    for _ in range(times):
        work()
    return (process_time() - started) * 1e6 / times
