"""The standard gRPC server metrics, and the golden signals by chain; every label child is made once."""

import asyncio
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from time import perf_counter
from typing import Final, Protocol

from prometheus_client import Counter

from processor import buckets
from processor.bulk_histogram import BulkHistogram
from processor.domain.outcomes import Outcome
from processor.labels import CHAINS, UNKNOWN
from processor.ports import Reply
from processor.rpc.authentication import Metadata
from processor.rpc.endings import ENDING_OF_CANCELLED, Ending
from processor.rpc.status import CODES

_METHOD_LABELS: Final = ("grpc_type", "grpc_service", "grpc_method")

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
HANDLING_SECONDS: Final = BulkHistogram(
    "grpc_server_handling_seconds",
    "Seconds from the start of a call to its status. Latency by method; streams last while open.",
    _METHOD_LABELS,
    buckets=buckets.SECONDS,
)
CALLS: Final = Counter(
    "loyalty_calls",
    "Calls by chain, method and the gRPC code that each ended with. Whose calls fail.",
    ["chain", "method", "code"],
)
REFUSALS: Final = Counter(
    "loyalty_refusals",
    "Calls, and operations of batches and streams, answered with an error, by its reason. What tills hear.",
    ["chain", "method", "reason"],
)
CALL_SECONDS: Final = BulkHistogram(
    "loyalty_call_seconds",
    "Seconds from the start of a call to its status, by chain and method. Whose calls are slow.",
    ["chain", "method"],
    buckets=buckets.SECONDS,
)


_NOT_REFUSED: Final = frozenset({Outcome.APPLIED.name, ENDING_OF_CANCELLED.outcome})


class ObservedCall(Protocol):
    """What is told of a call. `chain` is None if its credentials name none, `request` b"" if none came.

    `started` is the time by `perf_counter`; unless somebody has noted an `ending`, the call is cancelled.
    """

    metadata: Metadata
    started: float
    chain: str | None
    request: bytes
    ending: Ending


class CallMetrics:
    """Implements ObservedCall, from now on."""

    __slots__ = ("chain", "ending", "metadata", "request", "started")

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.started = perf_counter()
        self.chain: str | None = None
        self.request = b""
        self.ending = ENDING_OF_CANCELLED


class MethodMetrics:
    """What one method counts and times; every code is there from the start, at 0.

    What happens in one pass of the event loop is added up and written at its end: a batch answers hundreds.
    """

    def __init__(self, grpc_type: str, service: str, method: str) -> None:
        """`grpc_type` is "unary" or "bidi_stream"."""
        labels = (grpc_type, service, method)
        self._method = method
        self._started = STARTED.labels(*labels)
        self._received = MESSAGES_RECEIVED.labels(*labels)
        self._sent = MESSAGES_SENT.labels(*labels)
        self._handled = {number: HANDLED.labels(*labels, code.name) for number, code in CODES.items()}
        self._handling_seconds = HANDLING_SECONDS.labels(*labels)
        # Whoever is refused before the key is read is of no chain.
        _refusals(UNKNOWN, method, Outcome.QUEUE_FULL.name)
        self._calls: dict[tuple[str, int], Counter] = {}
        self._call_seconds: dict[str, BulkHistogram] = {}
        self._unwritten: _Pass | None = None

    def note_started(self, *, received: int = 0) -> None:
        """Count a call that starts, and the messages that came along."""
        noted = self._unwritten or self._pass()
        noted.started += 1
        noted.received += received

    def note_received(self) -> None:
        """Count a message that came."""
        self._pass().received += 1

    def note_sent(self, messages: int = 1) -> None:
        """Count messages that go."""
        self._pass().sent += messages

    def finish(self, calls: Iterable[ObservedCall], ended: float) -> None:
        """Count calls that have ended, and the seconds that each took."""
        seconds = self._pass().seconds
        for call in calls:
            ending = call.ending
            seconds[call.chain, ending.code, ending.outcome].append(ended - call.started)

    def _pass(self) -> "_Pass":
        if self._unwritten is None:
            self._unwritten = _Pass()
            asyncio.get_running_loop().call_soon(self._write)
        return self._unwritten

    def _write(self) -> None:
        noted, self._unwritten = self._pass(), None
        for counter, change in (
            (self._started, noted.started),
            (self._received, noted.received),
            (self._sent, noted.sent),
        ):
            if change:
                counter.inc(change)
        for (chain, code, outcome), seconds in noted.seconds.items():
            self._handled[code].inc(len(seconds))
            self._handling_seconds.observe_all(seconds)
            if chain is not None:
                self._write_of_chain(CHAINS.label(chain), code, seconds)
            if outcome not in _NOT_REFUSED:
                _refusals(_label(chain), self._method, outcome).inc(len(seconds))

    def _write_of_chain(self, label: str, code: int, seconds: Sequence[float]) -> None:
        if (label, code) not in self._calls:
            self._calls[label, code] = CALLS.labels(label, self._method, CODES[code].name)
            self._call_seconds[label] = CALL_SECONDS.labels(label, self._method)
            _refusals(label, self._method, Outcome.QUEUE_FULL.name)
        self._calls[label, code].inc(len(seconds))
        self._call_seconds[label].observe_all(seconds)


class _Pass:
    """What happened in one pass of the event loop; seconds are by chain, code and outcome."""

    __slots__ = ("received", "seconds", "sent", "started")

    def __init__(self) -> None:
        self.started = self.received = self.sent = 0
        self.seconds = defaultdict[tuple[str | None, int, str], list[float]](list)


def expect_refusals(chain: str, method: str) -> None:
    """Have what a full queue refuses counted from 0."""
    _refusals(CHAINS.label(chain), method, Outcome.QUEUE_FULL.name)


def count_refused(chain: str, method: str, replies: Iterable[Reply]) -> None:
    """Count the errors among the results of a batch, or of a stream's message."""
    for outcome, count in Tally([reply.outcome for reply in replies]).items():
        if outcome is not Outcome.APPLIED:
            _refusals(CHAINS.label(chain), method, outcome.name).inc(count)


@cache
def _refusals(chain: str, method: str, reason: str) -> Counter:
    return REFUSALS.labels(chain, method, reason)


def _label(chain: str | None) -> str:
    return UNKNOWN if chain is None else CHAINS.label(chain)
