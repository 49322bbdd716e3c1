"""Tracing by OpenTelemetry, sent over OTLP; needs the extra `tracing`.

Where to is told by OpenTelemetry's own variables, OTEL_EXPORTER_OTLP_ENDPOINT before all.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import time_ns
from typing import Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_SERVICE: Final = "loyalty.v1.TransactionService"
_NO_SPAN: Final = nullcontext()
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
        """Trace this share of the calls, and each whose caller traces it; `attributes` tell the process."""
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(sample_ratio),
            resource=Resource.create({"service.name": "loyalty-processor", **attributes}),
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("processor")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def call(self, method: str, metadata: Iterable[tuple[str, object]]) -> Iterator[CallSpan]:
        """As `Tracing.call`."""
        carrier = {name: value for name, value in metadata if isinstance(value, str)}
        attributes = {"rpc.system": "grpc", "rpc.service": _SERVICE, "rpc.method": method}
        with self._tracer.start_as_current_span(
            f"{_SERVICE}/{method}",
            context=self._propagator.extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
        ) as span:
            yield CallSpan(span)

    def link(self) -> object | None:
        """As `Tracing.link`."""
        span = trace.get_current_span()
        return span if span.is_recording() else None

    @contextmanager
    def batch(self, links: Iterable[object | None]) -> Iterator[None]:
        """As `Tracing.batch`."""
        calls = list({id(span): span for span in links if isinstance(span, trace.Span)}.values())
        if not calls:
            yield
            return
        # A trace of its own, for it serves many; sampled because one of them is.
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
            return _NO_SPAN
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
