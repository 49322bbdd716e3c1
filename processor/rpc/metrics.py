"""The standard gRPC server metrics, and the golden signals by chain; every label child is made once."""

from time import perf_counter
from typing import Final, Self

import grpc
from prometheus_client import Counter, Histogram

from processor.labels import CHAINS

_METHOD_LABELS: Final = ("grpc_type", "grpc_service", "grpc_method")
_SECONDS: Final = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

STARTED: Final = Counter(
    "grpc_server_started", "Calls started. Minus those handled: calls under way.", _METHOD_LABELS
)
HANDLED: Final = Counter(
    "grpc_server_handled", "Calls completed, by gRPC code. Errors by method.", (*_METHOD_LABELS, "grpc_code")
)
MESSAGES_RECEIVED: Final = Counter(
    "grpc_server_msg_received", "Messages received. On streams there are many in one call.", _METHOD_LABELS
)
MESSAGES_SENT: Final = Counter(
    "grpc_server_msg_sent", "Messages sent. On streams there are many in one call.", _METHOD_LABELS
)
HANDLING_SECONDS: Final = Histogram(
    "grpc_server_handling_seconds",
    "Seconds from the start of a call to its status. Latency by method; streams last while open.",
    _METHOD_LABELS,
    buckets=_SECONDS,
)
CALLS: Final = Counter(
    "loyalty_calls",
    "Calls by chain, method and the gRPC code that each ended with. Whose calls fail.",
    ["chain", "method", "code"],
)
CALL_SECONDS: Final = Histogram(
    "loyalty_call_seconds",
    "Seconds from the start of a call to its status, by chain and method. Whose calls are slow.",
    ["chain", "method"],
    buckets=_SECONDS,
)


class MethodMetrics:
    """What one method counts and times; every code is there from the start, at 0."""

    def __init__(self, grpc_type: str, service: str, method: str) -> None:
        """`grpc_type` is "unary" or "bidi_stream"."""
        labels = (grpc_type, service, method)
        self.method = method
        self.started = STARTED.labels(*labels)
        self.received = MESSAGES_RECEIVED.labels(*labels)
        self.sent = MESSAGES_SENT.labels(*labels)
        self.handled = {code: HANDLED.labels(*labels, code.name) for code in grpc.StatusCode}
        self.handling_seconds = HANDLING_SECONDS.labels(*labels)
        self._calls: dict[tuple[str, grpc.StatusCode], Counter] = {}
        self._call_seconds: dict[str, Histogram] = {}

    def call(self) -> "CallMetrics":
        """Counts and times the call that is handled inside of it."""
        return CallMetrics(self)

    def finish(self, code: grpc.StatusCode, seconds: float, chain: str | None) -> None:
        """Note the end of a call; `chain` is None if its credentials named none."""
        self.handled[code].inc()
        self.handling_seconds.observe(seconds)
        if chain is None:
            return
        label = CHAINS.label(chain)
        if (label, code) not in self._calls:
            self._calls[label, code] = CALLS.labels(label, self.method, code.name)
            self._call_seconds[label] = CALL_SECONDS.labels(label, self.method)
        self._calls[label, code].inc()
        self._call_seconds[label].observe(seconds)


class CallMetrics:
    """One call; whatever leaves it before its `code` is set is a cancellation."""

    __slots__ = ("_metrics", "_started", "chain", "code", "outcome", "request")

    def __init__(self, metrics: MethodMetrics) -> None:
        self._metrics = metrics
        self.code = grpc.StatusCode.CANCELLED
        self.outcome = self.code.name
        self.chain: str | None = None
        self.request = b""

    def end(self, code: grpc.StatusCode, outcome: str) -> None:
        """Note how the call ends."""
        self.code = code
        self.outcome = outcome

    def seconds(self) -> float:
        """How long it has been under way."""
        return perf_counter() - self._started

    def __enter__(self) -> Self:
        self._metrics.started.inc()
        self._started = perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.finish(self.code, self.seconds(), self.chain)
