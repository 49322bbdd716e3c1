"""`helm test`: the pod that it starts, and the program in it against a real service."""

import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.chart.chart import DATABASE, NAME, find, merged, render
from tests.chart.generate import CHART
from tests.chart.test_objects import CERT_MANAGER
from tests.postgres import Server as Postgres
from tests.server import eventually, serving

CERTIFICATES = CHART.parents[1] / "tests/unit/rpc_certificates"


def arguments(values: dict[str, Any]) -> list[str]:
    """What the test's container runs, after `python -c`."""
    (container,) = find(render(values), "Pod")["spec"]["containers"]
    assert container["command"] == ["python", "-c"]
    return list(container["args"])


def check(*args: str) -> "subprocess.CompletedProcess[str]":
    """Run the very program that the pod is given."""
    program, *_ = arguments(DATABASE)
    command = [sys.executable, "-c", program, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "values, where",
    [
        ({}, [f"http://{NAME}-metrics:9464", f"{NAME}:50051"]),
        (CERT_MANAGER, [f"http://{NAME}-metrics:9464", f"{NAME}:50051", "/etc/loyalty/tls/ca.crt"]),
        (merged(CERT_MANAGER, {"tls": {"clientCa": {"secretName": "ca"}}}), [f"http://{NAME}-metrics:9464"]),
    ],
    ids=["plain", "TLS", "mTLS"],
)
def test_the_pod_asks_the_services_of_the_release(values: dict[str, Any], where: list[str]) -> None:
    assert arguments(merged(DATABASE, values))[1:] == where


def test_it_passes_while_the_service_serves_and_fails_while_it_does_not(
    postgres: Postgres, database: str
) -> None:
    name = urlsplit(database).path.removeprefix("/")
    with serving(database) as server:
        serves = check(f"http://{server.http}", server.address)
        postgres.cut_off(name)
        eventually(lambda: server.health()["status"] == "not_serving")
        fails = check(f"http://{server.http}", server.address)
        postgres.let_in(name)
        eventually(lambda: server.health()["status"] == "serving")

    assert (serves.returncode, serves.stdout) == (0, "the release serves\n"), serves.stderr
    assert (fails.returncode, fails.stderr) == (
        1,
        f"http://{server.http}/healthz: HTTP Error 503: Service Unavailable\n",
    )


def test_it_passes_over_tls(database: str) -> None:
    certificate, key = CERTIFICATES / "server.pem", CERTIFICATES / "server-key.pem"
    with serving(database, transport="grpcio", tls_cert_file=certificate, tls_key_file=key) as server:
        done = check(f"http://{server.http}", server.address, str(CERTIFICATES / "ca.pem"))

    assert done.returncode == 0, done.stderr
