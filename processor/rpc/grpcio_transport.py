"""The default transport: grpcio on a port, with TLS if asked for."""

from typing import Final, NamedTuple

import grpc

_STREAMS_PER_CONNECTION_MAX: Final = 1_000
_PING_INTERVAL_MS_MIN: Final = 10_000


class Tls(NamedTuple):
    """PEM bytes; with `client_ca` callers must present a certificate signed by it."""

    certificate_chain: bytes
    private_key: bytes
    client_ca: bytes | None = None


class ConnectionAge(NamedTuple):
    """When a connection is asked to reconnect, and how long its calls have to finish then."""

    seconds_max: float
    grace_seconds: float


class GrpcioTransport:
    """A server that listens."""

    def __init__(self, server: grpc.aio.Server, port: int) -> None:
        self._server = server
        self.port = port

    async def stop(self, grace_seconds: float) -> None:
        """Accept nothing new; let calls under way finish, but cancel them after `grace_seconds`."""
        await self._server.stop(grace_seconds)


def grpcio_options(message_bytes_max: int, calls_max: int, age: ConnectionAge) -> list[tuple[str, int]]:
    """Options of a grpcio server. Larger messages are refused by grpcio itself."""
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", message_bytes_max),
        # Else a connection's window grows to megabytes, which strangers could fill with what nobody reads.
        ("grpc.http2.bdp_probe", 0),
        # Connections are renewed, so that they spread over the workers again and a drain comes to an end.
        ("grpc.max_connection_age_ms", round(age.seconds_max * 1000)),
        ("grpc.max_connection_age_grace_ms", round(age.grace_seconds * 1000)),
        # Calls that Python has not begun yet: grpcio ends some of them, and then all, without a word of ours.
        ("grpc.server.max_pending_requests", calls_max),
        # Each takes as much memory as one that has begun, so there are but half as many more.
        ("grpc.server.max_pending_requests_hard_limit", 3 * calls_max // 2),
        # More of one connection wait at the caller's.
        ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION_MAX),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MS_MIN),
    ]


async def start_grpcio(address: str, server: grpc.aio.Server, tls: Tls | None) -> GrpcioTransport:
    """Listen on HOST:PORT. Raises OSError, in one line, if the port can't be had."""
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(tls))
    except RuntimeError as error:
        files = ", and that certificate and private key are PEM and belong together" if tls else ""
        raise OSError(
            f"can't listen on {address}: check that it is free and this machine's{files}"
        ) from error
    await server.start()
    return GrpcioTransport(server, port)


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.private_key, tls.certificate_chain)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
