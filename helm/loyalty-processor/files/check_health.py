"""Ask a release whether it serves: check_health.py HTTP_URL [GRPC_ADDRESS [CA_FILE]].

With a CA file gRPC goes over TLS; a file that is not there stands for the authorities that the image trusts.
"""

import sys
import urllib.request
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICE = "loyalty.v1.TransactionService"
TIMEOUT_SECONDS = 30


def check_http(url: str) -> None:
    for path, expected in (("/healthz", '"serving"'), ("/metrics", "loyalty_workers_serving")):
        if expected not in get(url + path):
            sys.exit(f"{url}{path} does not say {expected}")


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return response.read().decode()
    except OSError as error:
        sys.exit(f"{url}: {error}")


def check_grpc(address: str, ca_file: str | None) -> None:
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    with open_channel(address, ca_file) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        try:
            response = health.Check(request, timeout=TIMEOUT_SECONDS, wait_for_ready=True)
        except grpc.RpcError as error:
            sys.exit(f"{address}: {error.code().name}: {error.details()}")
    if response.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(f"{SERVICE} at {address} does not serve")


def open_channel(address: str, ca_file: str | None) -> grpc.Channel:
    if ca_file is None:
        return grpc.insecure_channel(address)
    authority = Path(ca_file).read_bytes() if Path(ca_file).exists() else None
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(authority))


def main(url: str, address: str | None = None, ca_file: str | None = None) -> None:
    check_http(url)
    if address:
        check_grpc(address, ca_file)
    sys.stdout.write("the release serves\n")


main(*sys.argv[1:])
