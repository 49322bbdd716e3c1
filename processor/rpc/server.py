"""The gRPC server: the services of the contract, health, reflection and channelz on one port."""

from typing import Final, NamedTuple, Protocol

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from loyalty.v1 import member_service_pb2, transaction_service_pb2
from processor.ports import Directory, LedgerReader, MemberStore
from processor.rpc.authentication import Authenticator, KeyDirectory
from processor.rpc.handlers import UNOBSERVED, Admission, Observation, service_handlers
from processor.rpc.members import MemberService
from processor.rpc.places import PlacesByChain
from processor.rpc.reflection import add_reflection
from processor.rpc.transactions import CommandQueue, TransactionService

_TRANSACTION_SERVICE: Final = transaction_service_pb2.DESCRIPTOR.services_by_name["TransactionService"]
_MEMBER_SERVICE: Final = member_service_pb2.DESCRIPTOR.services_by_name["MemberService"]
_HEALTH_SERVICES: Final = (
    health.OVERALL_HEALTH,
    _TRANSACTION_SERVICE.full_name,
    _MEMBER_SERVICE.full_name,
)
_REFLECTED_SERVICES: Final = (
    _TRANSACTION_SERVICE.full_name,
    _MEMBER_SERVICE.full_name,
    health.SERVICE_NAME,
    channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name,
)
# Up to so many times a limit the caller is told of it in our own words; beyond, gRPC itself refuses.
_TOLD_FACTOR: Final = 1.5
_PING_INTERVAL_MS_MIN: Final = 10_000


class ChainDirectory(KeyDirectory, Directory, Protocol):
    """The chains and the API keys in force."""


class Tls(NamedTuple):
    """PEM bytes; with `client_ca` callers must present a certificate signed by it."""

    certificate_chain: bytes
    private_key: bytes
    client_ca: bytes | None = None


class RpcServer:
    """A server that is started. Health is NOT_SERVING until `set_serving(True)`."""

    def __init__(
        self, server: grpc.aio.Server, health_servicer: health.aio.HealthServicer, port: int
    ) -> None:
        self._server = server
        self._health = health_servicer
        self.port = port

    async def set_serving(self, serving: bool) -> None:  # noqa: FBT001
        """Tell load balancers whether to send calls here; calls are answered all the same."""
        statuses = health_pb2.HealthCheckResponse
        for service in _HEALTH_SERVICES:
            await self._health.set(service, statuses.SERVING if serving else statuses.NOT_SERVING)

    async def stop(self, grace_seconds: float) -> None:
        """Accept nothing new; let calls under way finish, but cancel them after `grace_seconds`."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)


async def start_server(
    *,
    host: str,
    port: int,
    batcher: CommandQueue,
    reader: LedgerReader,
    members: MemberStore,
    directory: ChainDirectory,
    message_bytes_max: int,
    calls_max: int,
    reads_max: int,
    connection_age_seconds_max: float,
    connection_age_grace_seconds: float,
    tls: Tls | None = None,
    observation: Observation = UNOBSERVED,
) -> RpcServer:
    """Listen and serve. Port 0 takes a free one. Raises OSError, in one line, if the port can't be had."""
    server = grpc.aio.server(
        options=_options(message_bytes_max, connection_age_seconds_max, connection_age_grace_seconds),
        maximum_concurrent_rpcs=round(_TOLD_FACTOR * calls_max),
    )
    admission = Admission(Authenticator(directory), message_bytes_max=message_bytes_max, calls_max=calls_max)
    reading = PlacesByChain(reads_max)
    services = {
        _TRANSACTION_SERVICE: TransactionService(batcher, reader, directory, reading),
        _MEMBER_SERVICE: MemberService(members, reading),
    }
    handlers = [service_handlers(*service, admission, observation) for service in services.items()]
    server.add_generic_rpc_handlers(handlers)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    channelz.add_channelz_servicer(server)
    add_reflection(server, _REFLECTED_SERVICES)
    started = RpcServer(server, health_servicer, _listen(server, host, port, tls))
    await started.set_serving(False)
    await server.start()
    return started


def _options(
    message_bytes_max: int, connection_age_seconds_max: float, connection_age_grace_seconds: float
) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", round(_TOLD_FACTOR * message_bytes_max)),
        # Else a connection's window grows to megabytes, which strangers could fill with what nobody reads.
        ("grpc.http2.bdp_probe", 0),
        # Connections are renewed, so that they spread over the workers again and a drain comes to an end.
        ("grpc.max_connection_age_ms", round(connection_age_seconds_max * 1000)),
        ("grpc.max_connection_age_grace_ms", round(connection_age_grace_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MS_MIN),
    ]


def _listen(server: grpc.aio.Server, host: str, port: int, tls: Tls | None) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _credentials(tls))
    except RuntimeError as error:
        files = ", and that certificate and private key are PEM and belong together" if tls else ""
        raise OSError(
            f"can't listen on {address}: check that it is free and this machine's{files}"
        ) from error


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.private_key, tls.certificate_chain)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
