"""What is told of calls: they are counted, timed, traced and logged here, whatever transport they came by."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from time import perf_counter
from typing import Final, NamedTuple

from google.protobuf.descriptor import MethodDescriptor

from processor.rpc.authentication import Metadata
from processor.rpc.call_log import CallLog
from processor.rpc.endings import QUEUE_FULL
from processor.rpc.metrics import CallMetrics, MethodMetrics, ObservedCall
from processor.tracing import NO_SPAN, NO_TRACING, Span, Tracing


class Observation(NamedTuple):
    """How calls are traced, and which of them are logged."""

    tracing: Tracing
    logged_calls: str


UNOBSERVED: Final = Observation(NO_TRACING, "none")


class Observer:
    """Watches the calls of one method."""

    def __init__(self, descriptor: MethodDescriptor, observation: Observation) -> None:
        grpc_type = "bidi_stream" if descriptor.client_streaming else "unary"
        service = descriptor.containing_service.full_name
        self.method = descriptor.name
        self.metrics = MethodMetrics(grpc_type, service, descriptor.name)
        self._traced_as = f"{service}/{descriptor.name}"
        self._log = CallLog(descriptor, observation.logged_calls)
        self._tracing = observation.tracing

    def span(self, metadata: Metadata) -> AbstractContextManager[Span]:
        """The span of a call; NO_SPAN if it is not traced."""
        return self._tracing.call(self._traced_as, metadata)

    def call(self, metadata: Metadata, span: AbstractContextManager[Span]) -> "Watch":
        """Watch the call that is handled inside of it."""
        return Watch(self, metadata, span)

    def turn_away(self, metadata: Metadata) -> None:
        """Note a call that is refused with QUEUE_FULL before anything of it is looked at."""
        with self.call(metadata, NO_SPAN) as call:
            call.ending = QUEUE_FULL

    def finish(self, calls: Collection[ObservedCall]) -> None:
        """Count and log calls that have just ended."""
        ended = perf_counter()
        self.metrics.finish(calls, ended)
        self._log.note(calls, ended)


class Watch:
    """What is noted of a call while a block handles it. No generator: every call has one."""

    __slots__ = ("_call", "_metadata", "_observer", "_opened", "_span")

    def __init__(self, observer: Observer, metadata: Metadata, span: AbstractContextManager[Span]) -> None:
        self._observer = observer
        self._metadata = metadata
        self._span = span

    def __enter__(self) -> CallMetrics:
        self._opened = self._span.__enter__()
        self._observer.metrics.note_started()
        self._call = CallMetrics(self._metadata)
        return self._call

    def __exit__(self, *raised: object) -> None:
        call = self._call
        try:
            self._opened.describe({"loyalty.chain": call.chain or "", "loyalty.outcome": call.ending.outcome})
            self._observer.finish((call,))
        finally:
            self._span.__exit__(*raised)  # type: ignore[arg-type]
