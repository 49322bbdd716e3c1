"""The gRPC server: the services of the contract, health, reflection and channelz on one port."""

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from google.protobuf.descriptor import ServiceDescriptor
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from loyalty.v1 import member_service_pb2, transaction_service_pb2
from processor.ports import Directory, LedgerReader, MemberStore
from processor.rpc.admission import Admission
from processor.rpc.authentication import Authenticator, KeyDirectory
from processor.rpc.grpcio_transport import ConnectionAge, GrpcioTransport, Tls, grpcio_options
from processor.rpc.members import MemberService
from processor.rpc.observation import UNOBSERVED, Observation, Observer
from processor.rpc.places import Places, PlacesByChain
from processor.rpc.reflection import add_reflection
from processor.rpc.servicers import Servicers
from processor.rpc.streams import StreamMethod
from processor.rpc.transactions import TransactionService
from processor.rpc.unary import UnaryMethod
from processor.rpc.writes import CommandQueue

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

# By path.
Methods = Mapping[str, UnaryMethod | StreamMethod]


class ChainDirectory(KeyDirectory, Directory, Protocol):
    """The chains and the API keys in force."""


class Transport(Protocol):
    """What listens."""

    port: int

    async def stop(self, grace_seconds: float) -> None:
        """Accept nothing new; let calls under way finish, but cancel them after `grace_seconds`."""
        ...


class RpcServer:
    """A server that is started. Health is NOT_SERVING until `set_serving(True)`."""

    def __init__(
        self, transport: Transport, health_servicer: health.aio.HealthServicer, places: Places
    ) -> None:
        """`places` are those of all calls together."""
        self._transport = transport
        self._health = health_servicer
        self.port = transport.port
        self.places = places

    async def set_serving(self, serving: bool) -> None:  # noqa: FBT001
        """Tell load balancers whether to send calls here; calls are answered all the same."""
        await _tell(self._health, is_serving=serving)

    async def stop(self, grace_seconds: float) -> None:
        """As `Transport.stop`."""
        await self._health.enter_graceful_shutdown()
        await self._transport.stop(grace_seconds)


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
    transport: Literal["grpcio", "native"] = "grpcio",
    tls: Tls | None = None,
    observation: Observation = UNOBSERVED,
) -> RpcServer:
    """Listen and serve. Port 0 takes a free one. Raises OSError, in one line, if the port can't be had.

    The native transport has no TLS, and the age of its connections ends streams alone.
    """
    admission = Admission(Authenticator(directory), message_bytes_max=message_bytes_max, calls_max=calls_max)
    reading = PlacesByChain(reads_max)
    methods = {
        **_methods(
            _TRANSACTION_SERVICE,
            TransactionService(batcher, reader, directory, reading),
            admission,
            observation,
        ),
        **_methods(_MEMBER_SERVICE, MemberService(members, reading), admission, observation),
    }
    age = ConnectionAge(connection_age_seconds_max, connection_age_grace_seconds)
    servicers = Servicers()
    health_servicer = await _add_services(servicers)
    server = GrpcioTransport(
        {**methods, **servicers.methods},
        grpcio_options(round(_TOLD_FACTOR * message_bytes_max), calls_max, age),
        round(_TOLD_FACTOR * calls_max),
    )
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if transport == "native":
        from processor.rpc.native_transport import start_native

        return RpcServer(await start_native(address, methods, server), health_servicer, admission.places)
    server.start(address, tls)
    return RpcServer(server, health_servicer, admission.places)


def _methods(
    service: ServiceDescriptor, implementation: object, admission: Admission, observation: Observation
) -> Methods:
    """The methods of a service; `implementation` has them under their names in the contract."""
    methods: dict[str, UnaryMethod | StreamMethod] = {}
    for method in service.methods:
        kind = StreamMethod if method.client_streaming else UnaryMethod
        work, observer = getattr(implementation, method.name), Observer(method, observation)
        methods[f"/{service.full_name}/{method.name}"] = kind(work, admission, observer)
    return methods


async def _add_services(servicers: Servicers) -> health.aio.HealthServicer:
    channelz_pb2_grpc.add_ChannelzServicer_to_server(channelz.aio.ChannelzServicer(), servicers)
    add_reflection(servicers, _REFLECTED_SERVICES)
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, servicers)
    await _tell(servicer, is_serving=False)
    return servicer


async def _tell(servicer: health.aio.HealthServicer, *, is_serving: bool) -> None:
    statuses = health_pb2.HealthCheckResponse
    for service in _HEALTH_SERVICES:
        await servicer.set(service, statuses.SERVING if is_serving else statuses.NOT_SERVING)
