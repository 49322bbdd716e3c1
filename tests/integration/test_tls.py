"""TLS and mTLS of the whole service: supervisor, real worker, real PostgreSQL."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub
from tests.chains import Chain, new_chain
from tests.postgres import Server as Postgres
from tests.postgres import run
from tests.requests import accrue
from tests.server import REPOSITORY, Server, serving

CERTIFICATES: Final = REPOSITORY / "tests" / "unit" / "rpc_certificates"
MEMBER: Final = 1
pytestmark = pytest.mark.xdist_group("tls")


def file(name: str) -> Path:
    return CERTIFICATES / f"{name}.pem"


SERVER: Final[dict[str, Any]] = {
    "transport": "grpcio",
    "tls_cert_file": file("server"),
    "tls_key_file": file("server-key"),
}


def credentials(*names: str) -> grpc.ChannelCredentials:
    """Those of a client that trusts an authority, and perhaps has (key, certificate) to show."""
    return grpc.ssl_channel_credentials(*(file(name).read_bytes() for name in names))


TRUSTING: Final = credentials("ca")
KNOWN: Final = credentials("ca", "client-key", "client")


@pytest.fixture(scope="module")
def chain(postgres: Postgres) -> Iterator[Chain]:
    with postgres.database() as dsn:
        chain = run(new_chain(dsn))
        run(chain.add_members([MEMBER]))
        yield chain


@pytest.fixture(scope="module")
def tls(chain: Chain) -> Iterator[Server]:
    """It shows a certificate and asks for none."""
    with serving(chain.dsn, **SERVER) as server:
        yield server


@pytest.fixture(scope="module")
def mutual(chain: Chain) -> Iterator[Server]:
    """It lets in who shows a certificate of its authority."""
    with serving(chain.dsn, **SERVER, tls_client_ca_file=file("ca")) as server:
        yield server


async def accrued_points(
    server: Server, chain: Chain, credentials: grpc.ChannelCredentials | None, host: str = "127.0.0.1"
) -> int:
    """What a call earns over a connection with these credentials, or without TLS."""
    target = f"{host}:{server.address.rpartition(':')[2]}"
    async with (
        grpc.aio.secure_channel(target, credentials)
        if credentials
        else grpc.aio.insecure_channel(target) as channel
    ):
        metadata = [("authorization", f"Bearer {chain.api_key}")]
        call = TransactionServiceStub(channel).Accrue(accrue(MEMBER, 70_000), metadata=metadata, timeout=20)
        return int((await call).earned_points)


async def refused(server: Server, chain: Chain, credentials: grpc.ChannelCredentials | None) -> str:
    """Why such a call does not come through; nothing of it is recorded."""
    before = await chain.operation_count()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await accrued_points(server, chain, credentials)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await chain.operation_count() == before
    return str(caught.value.details())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_client_that_trusts_the_authority_is_served(tls: Server, chain: Chain, host: str) -> None:
    assert await accrued_points(tls, chain, TRUSTING, host) == 7


async def test_plaintext_is_not_served(tls: Server, chain: Chain) -> None:
    assert await refused(tls, chain, None)


async def test_a_client_that_trusts_another_authority_does_not_call(tls: Server, chain: Chain) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in await refused(tls, chain, credentials("client"))


async def test_mutual_tls_serves_a_client_with_a_certificate(mutual: Server, chain: Chain) -> None:
    assert await accrued_points(mutual, chain, KNOWN) == 7


@pytest.mark.parametrize("stranger", [TRUSTING, None], ids=["no certificate", "plaintext"])
async def test_mutual_tls_serves_nobody_else(
    mutual: Server, chain: Chain, stranger: grpc.ChannelCredentials | None
) -> None:
    assert await refused(mutual, chain, stranger)


async def test_a_certificate_is_no_api_key(mutual: Server, chain: Chain) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await accrued_points(mutual, chain._replace(api_key="nonsense"), KNOWN)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "options, complaint",
    [
        ((file("server"), file("client-key")), "key values mismatch"),
        ((file("nothing"), file("server-key")), "must be the path of a file that exists"),
        ((file("server"), file("server-key"), Path(__file__)), "must be one or more certificates in PEM"),
    ],
)
def test_files_that_do_not_fit_are_one_clear_line(options: tuple[Path, ...], complaint: str) -> None:
    names = ("--tls-cert-file", "--tls-key-file", "--tls-client-ca-file")
    flags = [part for name, path in zip(names, options, strict=False) for part in (name, str(path))]
    command = [sys.executable, "-m", "processor", "serve", "--dsn=postgresql://127.0.0.1:1/nothing", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert complaint in ended.stderr
