"""Tracing by OpenTelemetry, sent over OTLP; needs the extra `tracing`.

Where to is told by OpenTelemetry's own variables, OTEL_EXPORTER_OTLP_ENDPOINT before all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from random import random
from time import time_ns
from typing import Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from processor.tracing import NO_SPAN, Span

_W3C: Final = frozenset(TraceContextTextMapPropagator().fields)
_STEPS_BELONG_TO_A_BATCH: Final = context.create_key("loyalty.batch")


class CallSpan:
    """Implements `processor.tracing.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def describe(self, attributes: Mapping[str, str]) -> None:
        """Add what is known at its end."""
        self._span.set_attributes(attributes)


class OtelTracing:
    """Implements `processor.tracing.Tracing`."""

    def __init__(
        self, sample_ratio: float, attributes: Mapping[str, str | int], exporter: SpanExporter | None = None
    ) -> None:
        """Trace this share of the calls whose caller has no trace; else the caller decides.

        `attributes` tell the process.
        """
        self._sample_ratio = sample_ratio
        self._provider = TracerProvider(
            # What is not sampled gets no span at all: one that records nothing costs five times as much.
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": "loyalty-processor", **attributes}),
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("processor")
        self._propagator = TraceContextTextMapPropagator()

    def call(self, method: str, metadata: Iterable[tuple[str, object]]) -> AbstractContextManager[Span]:
        """As `Tracing.call`."""
        carrier = {name: value for name, value in metadata if name in _W3C and isinstance(value, str)}
        parent = self._propagator.extract(carrier) if carrier else context.Context()
        return self._traced_call(method, parent) if self._is_sampled(parent) else NO_SPAN

    def _is_sampled(self, parent: context.Context) -> bool:
        caller = trace.get_current_span(parent).get_span_context()
        return caller.trace_flags.sampled if caller.is_valid else random() < self._sample_ratio

    @contextmanager
    def _traced_call(self, method: str, parent: context.Context) -> Iterator[CallSpan]:
        service, _, name = method.partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        with self._tracer.start_as_current_span(
            method, context=parent, kind=trace.SpanKind.SERVER, attributes=attributes
        ) as span:
            yield CallSpan(span)

    def link(self) -> object | None:
        """As `Tracing.link`."""
        span = trace.get_current_span()
        return span if span.is_recording() else None

    def batch(self, links: Iterable[object | None]) -> AbstractContextManager[object]:
        """As `Tracing.batch`."""
        calls = list({id(span): span for span in links if span and isinstance(span, trace.Span)}.values())
        return self._traced_batch(calls) if calls else NO_SPAN

    @contextmanager
    def _traced_batch(self, calls: Sequence[trace.Span]) -> Iterator[None]:
        # It serves many, and is shown in the trace of the first.
        parent = trace.set_span_in_context(calls[0], context.Context())
        call_links = [trace.Link(span.get_span_context()) for span in calls]
        with self._tracer.start_as_current_span("batch", context=parent, links=call_links) as span:
            for call in calls:
                call.add_link(span.get_span_context())
            token = context.attach(context.set_value(_STEPS_BELONG_TO_A_BATCH, True))
            try:
                yield
            finally:
                context.detach(token)

    def step(self, name: str) -> AbstractContextManager[object]:
        """As `Tracing.step`."""
        if not context.get_value(_STEPS_BELONG_TO_A_BATCH):
            return NO_SPAN
        return self._tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT)

    def note_step(self, name: str, seconds: float) -> None:
        """As `Tracing.note_step`."""
        if context.get_value(_STEPS_BELONG_TO_A_BATCH):
            ended_ns = time_ns()
            started_ns = ended_ns - round(seconds * 1e9)
            span = self._tracer.start_span(name, kind=trace.SpanKind.CLIENT, start_time=started_ns)
            span.end(ended_ns)

    def close(self) -> None:
        """As `Tracing.close`."""
        self._provider.shutdown()
