"""The server around the methods: health, reflection, channelz, TLS, ports and metrics."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY

from loyalty.v1 import transaction_service_pb2
from loyalty.v1.transaction_service_pb2 import OperationRequest, ProcessStreamRequest
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub
from processor.domain.outcomes import Outcome
from processor.rpc.grpcio_transport import Tls
from tests.raw_http2 import GOAWAY, PREFACE, SETTINGS, read_frame, settings
from tests.unit.rpc_harness import AUTHORIZATION, MEMBER_METHODS, Harness, failure, refused, running
from tests.unit.rpc_requests import accrue_request, redeem_request

pytestmark = pytest.mark.usefixtures("rpc_transport")

ROOT = Path(__file__).parents[2]
SERVICE = "loyalty.v1.TransactionService"
MEMBER_SERVICE = "loyalty.v1.MemberService"
AUTH = (AUTHORIZATION,)
# Certificates of a test authority whose key was thrown away; they end in a hundred years.
CERTIFICATES = Path(__file__).parent / "rpc_certificates"


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    async with running() as harness:
        yield harness


async def health(channel: grpc.aio.Channel, service: str) -> str:
    reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


@pytest.mark.parametrize("service", ["", SERVICE, MEMBER_SERVICE])
async def test_health_follows_what_it_is_told(rpc: Harness, service: str) -> None:
    assert await health(rpc.channel, service) == "NOT_SERVING"
    await rpc.server.set_serving(True)
    assert await health(rpc.channel, service) == "SERVING"
    await rpc.server.set_serving(False)
    assert await health(rpc.channel, service) == "NOT_SERVING"


async def test_a_watcher_of_health_hears_of_the_stop(rpc: Harness) -> None:
    await rpc.server.set_serving(True)
    watch = health_pb2_grpc.HealthStub(rpc.channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    stopping = asyncio.create_task(rpc.server.stop(1))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    await stopping


async def test_a_stop_lets_calls_under_way_finish(rpc: Harness) -> None:
    rpc.queue.is_open.clear()
    call = rpc.stub.Accrue(accrue_request(), metadata=AUTH)
    await rpc.queue.arrival(1)
    stopping = asyncio.create_task(rpc.server.stop(30))
    await asyncio.sleep(0.05)
    rpc.queue.is_open.set()
    assert (await call).idempotency_key == "k-1"
    await stopping


async def test_a_stop_sends_clients_away(rpc: Harness) -> None:
    """By GOAWAY, so that they go on elsewhere; a connection that just breaks is an error to many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rpc.server.port)
    writer.write(PREFACE + settings({}))
    assert (await read_frame(reader)).kind == SETTINGS
    stopping = asyncio.create_task(rpc.server.stop(10))
    while (await read_frame(reader)).kind != GOAWAY:
        pass
    writer.close()
    await stopping


async def test_calls_that_come_during_a_stop_are_told_to_come_again(rpc: Harness) -> None:
    rpc.queue.is_open.clear()
    last = rpc.stub.Accrue(accrue_request(), metadata=AUTH)
    await rpc.queue.arrival(1)
    stopping = asyncio.create_task(rpc.server.stop(30))
    await asyncio.sleep(0.1)
    late = rpc.stub.Accrue(accrue_request("late"), metadata=AUTH)
    await asyncio.sleep(0.1)
    rpc.queue.is_open.set()
    assert (await last).idempotency_key == "k-1"
    assert await late.code() is grpc.StatusCode.UNAVAILABLE
    assert len(rpc.queue.submitted) == 1
    await stopping


async def reflect(
    rpc: Harness, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    call = reflection_pb2_grpc.ServerReflectionStub(rpc.channel).ServerReflectionInfo(iter([request]))
    return await call.read()


async def test_reflection_lists_the_services(rpc: Harness) -> None:
    reply = await reflect(rpc, reflection_pb2.ServerReflectionRequest(list_services=""))
    assert {service.name for service in reply.list_services_response.service} == {
        SERVICE,
        MEMBER_SERVICE,
        "grpc.health.v1.Health",
        "grpc.channelz.v1.Channelz",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def contract() -> Iterator[str]:
    """Every service, method, message, enum and enum value of the contract's files, by full name."""
    for file in (ROOT / "protos").rglob("*.proto"):
        descriptor = descriptor_pool.Default().FindFileByName(str(file.relative_to(ROOT / "protos")))
        for service in descriptor.services_by_name.values():
            yield from (service.full_name, *(method.full_name for method in service.methods))
        yield from (message.full_name for message in descriptor.message_types_by_name.values())
        for enum in descriptor.enum_types_by_name.values():
            yield from (enum.full_name, *(f"{descriptor.package}.{value.name}" for value in enum.values))


@pytest.mark.parametrize(
    "symbol", [*contract(), "google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"]
)
async def test_reflection_knows_the_whole_contract(rpc: Harness, symbol: str) -> None:
    reply = await reflect(rpc, reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
    files = [
        FileDescriptorProto.FromString(file) for file in reply.file_descriptor_response.file_descriptor_proto
    ]
    assert any(symbol.startswith(f"{file.package}.") for file in files), reply


async def test_reflection_says_what_it_does_not_know(rpc: Harness) -> None:
    for symbol in ("loyalty.v1.TransactionService.Steal", "nonsense", ""):
        reply = await reflect(rpc, reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
        assert reply.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_channelz_tells_of_the_calls(rpc: Harness, transport: str) -> None:
    await rpc.stub.Accrue(accrue_request(), metadata=AUTH)
    reply = await channelz_pb2_grpc.ChannelzStub(rpc.channel).GetServers(channelz_pb2.GetServersRequest())
    # Of grpcio's alone: under the native transport unary calls do not come by it.
    calls = 2 if transport == "grpcio" else 1
    assert sum(server.data.calls_started for server in reply.server) >= calls


async def test_two_servers_share_a_port(rpc: Harness) -> None:
    async with running(port=rpc.server.port) as second:
        assert second.server.port == rpc.server.port


async def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="can't listen on") as caught,
    ):
        async with running(port=taken.getsockname()[1]):
            pass
    assert "\n" not in str(caught.value)


async def test_renewed_connections_cost_no_call() -> None:
    async with running(connection_age_seconds_max=0.2, connection_age_grace_seconds=5) as rpc:
        for number in range(60):
            await rpc.stub.Accrue(accrue_request(str(number)), metadata=AUTH)
            await asyncio.sleep(0.02)


# --- TLS -------------------------------------------------------------------------------------------


def pem(name: str) -> bytes:
    return (CERTIFICATES / f"{name}.pem").read_bytes()


async def call_securely(rpc: Harness, *certificate: bytes) -> str:
    """The key in the reply to a call that presents a (private key, certificate) or nothing."""
    credentials = grpc.ssl_channel_credentials(pem("ca"), *certificate)
    async with grpc.aio.secure_channel(f"localhost:{rpc.server.port}", credentials) as channel:
        stub: Any = TransactionServiceStub(channel)
        return str((await stub.Accrue(accrue_request("safe"), metadata=AUTH, timeout=20)).idempotency_key)


async def test_tls() -> None:
    async with running(transport="grpcio", tls=Tls(pem("server"), pem("server-key"))) as rpc:
        assert await call_securely(rpc) == "safe"
        with pytest.raises(grpc.aio.AioRpcError):
            await rpc.stub.Accrue(accrue_request(), metadata=AUTH)


async def test_mutual_tls_lets_in_none_without_a_certificate_of_the_authority() -> None:
    async with running(transport="grpcio", tls=Tls(pem("server"), pem("server-key"), pem("ca"))) as rpc:
        assert await call_securely(rpc, pem("client-key"), pem("client")) == "safe"
        with pytest.raises(grpc.aio.AioRpcError):
            await call_securely(rpc)
        assert len(rpc.queue.submitted) == 1


@pytest.mark.parametrize(
    "tls", [Tls(b"nonsense", b"nonsense"), Tls(b"", b""), Tls(pem("server"), pem("client-key"))]
)
async def test_certificates_that_are_none_are_one_clear_error(tls: Tls) -> None:
    with pytest.raises(OSError, match="certificate and private key"):
        async with running(transport="grpcio", tls=tls):
            pass


# --- metrics ---------------------------------------------------------------------------------------


def sample(name: str, method: str, **labels: str) -> float:
    grpc_type = "bidi_stream" if method == "ProcessStream" else "unary"
    service = MEMBER_SERVICE if method in MEMBER_METHODS else SERVICE
    found = REGISTRY.get_sample_value(
        name, {"grpc_type": grpc_type, "grpc_service": service, "grpc_method": method, **labels}
    )
    assert found is not None
    return found


def samples(method: str) -> dict[str, float]:
    names = ("started_total", "msg_received_total", "msg_sent_total", "handling_seconds_count")
    return {name: sample(f"grpc_server_{name}", method) for name in names} | {
        code.name: sample("grpc_server_handled_total", method, grpc_code=code.name)
        for code in grpc.StatusCode
    }


def changes(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


async def test_every_method_has_its_series_from_the_start(rpc: Harness) -> None:
    service = transaction_service_pb2.DESCRIPTOR.services_by_name["TransactionService"]
    methods = [*service.methods_by_name, *MEMBER_METHODS]
    assert all(len(samples(method)) == 4 + len(grpc.StatusCode) for method in methods)


async def test_unary_calls_are_counted_by_code(rpc: Harness) -> None:
    before = samples("Accrue")
    await rpc.stub.Accrue(accrue_request(), metadata=AUTH)
    rpc.queue.answer = lambda _: refused(Outcome.INSUFFICIENT_POINTS)
    await failure(rpc.stub.Accrue(accrue_request(), metadata=AUTH))
    await failure(rpc.stub.Accrue(accrue_request()))
    assert changes(before, samples("Accrue")) == {
        "started_total": 3,
        "msg_received_total": 2,
        "msg_sent_total": 1,
        "handling_seconds_count": 3,
        "OK": 1,
        "FAILED_PRECONDITION": 1,
        "UNAUTHENTICATED": 1,
    }


async def test_a_cancelled_call_is_counted_as_such(rpc: Harness) -> None:
    before = samples("Redeem")
    rpc.queue.is_open.clear()
    call = rpc.stub.Redeem(redeem_request(), metadata=AUTH)
    await rpc.queue.arrival(1)
    call.cancel()
    await rpc.server.stop(10)
    assert changes(before, samples("Redeem")) == {
        "started_total": 1,
        "msg_received_total": 1,
        "handling_seconds_count": 1,
        "CANCELLED": 1,
    }


async def test_messages_of_a_stream_are_counted(rpc: Harness) -> None:
    before = samples("ProcessStream")
    stream = rpc.stub.ProcessStream(metadata=AUTH)
    for number in range(3):
        request = OperationRequest(accrue=accrue_request(str(number)))
        await stream.write(ProcessStreamRequest(operations=[request]))
        await stream.read()
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    assert changes(before, samples("ProcessStream")) == {
        "started_total": 1,
        "msg_received_total": 3,
        "msg_sent_total": 3,
        "handling_seconds_count": 1,
        "OK": 1,
    }
