"""Spans over OTLP: a call and the batch that served it know each other, and the caller's trace goes on."""

import asyncio
import gzip
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from loyalty.v1.member_service_pb2 import GetMemberRequest
from loyalty.v1.member_service_pb2_grpc import MemberServiceStub
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub
from processor.otel_tracing import OtelTracing
from tests.chains import new_chain
from tests.requests import accrue
from tests.server import eventually, in_thread, serving


class Collector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TraceHandler)
        self.spans: list[Span] = []

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class _TraceHandler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


async def test_a_call_and_its_batch_are_linked_within_the_callers_trace(
    database: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    chain = await new_chain(database)
    await chain.add_members([1])
    trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
    metadata = (
        ("authorization", f"Bearer {chain.api_key}"),
        ("traceparent", f"00-{trace_id}-{parent_id}-01"),
    )
    async with (
        in_thread(serving(database, trace="otlp", trace_sample_ratio=0)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await TransactionServiceStub(channel).Accrue(accrue(1, 10_000), metadata=metadata)
        await TransactionServiceStub(channel).Accrue(accrue(1, 10_000), metadata=metadata[:1])
        await MemberServiceStub(channel).GetMember(GetMemberRequest(member_id=1), metadata=metadata)
        await asyncio.to_thread(eventually, lambda: len(collector.spans) >= 6)
    [call] = collector.named("loyalty.v1.TransactionService/Accrue")
    assert len(collector.named("loyalty.v1.MemberService/GetMember")) == 1
    [batch] = collector.named("batch")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (trace_id, parent_id)
    assert batch.span_id in [link.span_id for link in call.links]
    assert call.span_id in [link.span_id for link in batch.links]
    steps = {span.name for span in collector.spans if span.parent_span_id == batch.span_id}
    assert steps == {"load", "save", "commit"}
    attributes = {pair.key: pair.value.string_value for pair in call.attributes}
    assert attributes["rpc.service"] == "loyalty.v1.TransactionService"
    assert attributes["rpc.method"] == "Accrue"
    assert attributes["loyalty.outcome"] == "APPLIED"
    assert attributes["loyalty.chain"] == chain.name


@pytest.mark.parametrize(
    "flags, sample_ratio, is_traced", [("01", 0, True), ("00", 1, False), (None, 0, False), (None, 1, True)]
)
def test_a_caller_with_a_trace_decides_for_its_calls_and_the_ratio_for_others(
    flags: str | None, sample_ratio: float, *, is_traced: bool
) -> None:
    exporter = InMemorySpanExporter()
    tracing = OtelTracing(sample_ratio, {}, exporter)
    traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{flags}"
    with tracing.call("Accrue", [("traceparent", traceparent)] if flags else []):
        assert (tracing.link() is not None) == is_traced
    tracing.close()
    assert len(exporter.get_finished_spans()) == is_traced
