"""Locust as an operator starts it: shapes, open loops, worker processes and objectives."""

import asyncio
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from loyalty.v1.transaction_service_pb2 import DESCRIPTOR
from tests.chains import Chain, new_chain
from tests.postgres import Server as Postgres
from tests.server import PATIENCE_SECONDS, REPOSITORY, Server, eventually, serving

MEMBERS = 500


def pem(name: str) -> str:
    return str(REPOSITORY / "tests" / "unit" / "rpc_certificates" / f"{name}.pem")


TRUSTING = ("--ca-file", pem("ca"))
SERVICE = DESCRIPTOR.services_by_name["TransactionService"].full_name


@pytest.fixture(scope="module")
def dsn(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def server(dsn: str) -> Iterator[Server]:
    with serving(dsn) as server:
        yield server


@pytest.fixture(scope="module")
def chain(dsn: str) -> Chain:
    async def new_members() -> Chain:
        chain = await new_chain(dsn)
        await chain.add_members(range(1, MEMBERS + 1))
        return chain

    return asyncio.run(new_members())


def start(
    *arguments: str, file: str = "benchmarks/locustfile.py", headless: bool = True
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "locust", "-f", file, *(["--headless"] if headless else []), *arguments]
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    with process:
        output, errors = process.communicate(timeout=90)
    return process.returncode, output, errors


def to(server: Server, chain: Chain, members: int = MEMBERS) -> tuple[str, ...]:
    return "--host", server.address, "--api-key", chain.api_key, "--members", str(members)


def requests(output: str) -> int:
    """How many calls Locust's JSON tells of, none of which failed."""
    entries: list[dict[str, Any]] = json.loads(output)
    assert sum(entry["num_failures"] for entry in entries) == 0
    return sum(entry["num_requests"] for entry in entries)


def recorded(distribution: Path) -> int:
    """How many calls the distribution has."""
    [count] = re.findall(r"TotalCount *= *([0-9.]+)", distribution.read_text())
    return round(float(count))


def test_worker_processes_share_the_load_and_their_latencies_are_merged(
    server: Server, chain: Chain, tmp_path: Path
) -> None:
    distribution = tmp_path / "hdr"
    options = ("--processes", "2", "--users", "6", "--spawn-rate", "6", "--run-time", "3s")

    process = start(*to(server, chain), *options, "--message-ops", "5", "--json", "--hdr", str(distribution))
    status, output, errors = finish(process)

    assert status == 0, errors
    assert requests(output) == recorded(distribution) > 0
    assert "p99.9 ms" in errors


def test_a_worker_reads_its_defaults_once_however_slowly_users_come(
    server: Server, chain: Chain, tmp_path: Path
) -> None:
    """Read anew for every option of every message they starve its heartbeats on a busy machine."""
    counting = tmp_path / "counting.py"
    counting.write_text(
        "import sys\n"
        "from locust import argument_parser, events\n"
        "made, make = [], argument_parser.get_empty_argument_parser\n"
        "argument_parser.get_empty_argument_parser = lambda *a, **k: made.append(1) or make(*a, **k)\n"
        "events.quitting.add_listener(lambda **_: sys.stderr.write(f'parsers made: {len(made)}\\n'))\n"
    )
    files = f"benchmarks/locustfile.py,{counting}"

    options = ("--processes", "2", "--users", "4", "--run-time", "5s", "UnaryUser")
    status, _, errors = finish(start(*to(server, chain), *options, file=files))

    assert status == 0, errors
    made = [int(count) for count in re.findall(r"parsers made: (\d+)", errors)]
    assert len(made) == 3
    assert max(made) < 10


def test_a_run_that_missed_a_worker_has_failed(server: Server, chain: Chain) -> None:
    before = asyncio.run(chain.operation_count())
    options = ("--processes", "2", "--users", "2", "--spawn-rate", "2", "--run-time", "12s", "UnaryUser")
    process = start(*to(server, chain), *options)
    eventually(lambda: asyncio.run(chain.operation_count()) > before)

    worker = psutil.Process(process.pid).children()[0]
    worker.suspend()
    time.sleep(7)  # Locust misses it after four
    worker.resume()

    status, _, errors = finish(process)
    assert status == 1, errors
    assert "locust: workers went missing: 1\n" in errors


def test_a_run_without_an_answered_call_has_failed(server: Server, chain: Chain) -> None:
    seldom = ("--rate", "0.0001", "--users", "1", "--run-time", "1s", "UnaryUser")

    status, _, errors = finish(start(*to(server, chain), *seldom))

    assert status == 1
    assert "locust: no call was answered\n" in errors


def test_workers_may_be_started_by_themselves(server: Server, chain: Chain, tmp_path: Path) -> None:
    distribution = tmp_path / "hdr"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    options = ("--users", "2", "--spawn-rate", "2", "--run-time", "3s", "--hdr", str(distribution))

    master = start(
        *("--master", "--expect-workers", "1", "--master-bind-port", port, "--json"),
        *(*to(server, chain), *options, "UnaryUser"),
    )
    worker = start("--worker", "--master-port", port, "UnaryUser")

    worker_status, _, worker_errors = finish(worker)
    status, output, errors = finish(master)
    assert (status, worker_status) == (0, 0), errors + worker_errors
    assert requests(output) == recorded(distribution) > 0


@pytest.mark.parametrize(
    "shape, first, most, last",
    [
        ("ramp", 1, 7, 7),  # a tick comes about every second, the last at three quarters or a bit later
        ("spike", 1, 10, 1),
        ("soak", 1, 10, 10),
    ],
)
def test_users_come_and_go_by_the_shape(
    server: Server, chain: Chain, shape: str, first: int, most: int, last: int
) -> None:
    status, _, errors = finish(
        start(*to(server, chain), "--shape", shape, "--users", "10", "--run-time", "4s", "UnaryUser")
    )

    assert status == 0, errors
    ramped = [int(count) for count in re.findall(r"Ramping to (\d+) users", errors)]
    assert ramped[0] == first
    assert max(ramped) >= most
    assert ramped[-1] >= last
    assert (ramped == sorted(ramped)) is (shape != "spike")


def test_a_call_that_is_due_while_the_server_stands_still_has_waited_since_then(
    server: Server, chain: Chain, tmp_path: Path
) -> None:
    distribution = tmp_path / "hdr"
    shape = ("--shape", "rate", "--rate", "60", "--users", "2", "--run-time", "8s")
    before = asyncio.run(chain.operation_count())
    process = start(*to(server, chain), *shape, "--hdr", str(distribution), "UnaryUser")
    while asyncio.run(chain.operation_count()) < before + 60:
        assert process.poll() is None
        time.sleep(0.05)
    for name in ("SIGSTOP", "SIGCONT"):
        for pid in server.worker_pids():
            os.kill(pid, signal.Signals[name])
        time.sleep(2.5)

    status, _, errors = finish(process)

    assert status == 0, errors
    # Without a schedule there would be two of them: the users' calls under way.
    waited = [line.split() for line in distribution.read_text().splitlines() if "." in line[:12]]
    calls = recorded(distribution)
    quick = max(int(columns[2]) for columns in waited if float(columns[0]) < 500)
    assert calls - quick > 30


@pytest.mark.parametrize(
    "scheme, options",
    [
        ("", ("--tls", *TRUSTING)),
        (
            "https://",
            (*TRUSTING, "--client-cert-file", pem("client"), "--client-key-file", pem("client-key")),
        ),
    ],
)
def test_tills_may_call_by_tls(chain: Chain, scheme: str, options: tuple[str, ...]) -> None:
    files = {"tls_cert_file": pem("server"), "tls_key_file": pem("server-key")}
    if "--client-cert-file" in options:
        files["tls_client_ca_file"] = pem("ca")
    with serving(chain.dsn, transport="grpcio", **files) as server:
        host = ("--host", scheme + server.address, *options)
        once = ("--users", "1", "--run-time", "2s", "--json", "UnaryUser")
        status, output, errors = finish(start(*to(server, chain), *host, *once))

    assert status == 0, errors
    assert requests(output) > 0


def test_an_address_may_say_that_it_is_plaintext(server: Server, chain: Chain) -> None:
    once = ("--host", f"http://{server.address}/", "--users", "1", "--run-time", "1s", "--json", "UnaryUser")

    status, output, errors = finish(start(*to(server, chain), *once))

    assert status == 0, errors
    assert requests(output) > 0


@pytest.mark.parametrize(
    "options, line",
    [
        (("--host", "ftp://till.example:1"), "ftp://till.example:1 is neither HOST:PORT, nor http://"),
        (
            ("--host", "http://till.example:1", "--tls"),
            "--tls and http://till.example:1 contradict each other",
        ),
        (TRUSTING, "certificates are given, but no --tls"),
        (
            ("--tls", "--client-key-file", "key.pem"),
            "--client-cert-file and --client-key-file need each other",
        ),
    ],
)
def test_contradictory_addresses_and_certificates_are_refused(
    server: Server, chain: Chain, options: tuple[str, ...], line: str
) -> None:
    status, _, errors = finish(start(*to(server, chain), *options, "UnaryUser"))

    assert status != 0
    assert f"locust: {line}" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "members, objectives, status, line",
    [
        (MEMBERS, ("--slo-p99-ms", "60000", "--slo-failure-percent", "0"), 0, ""),
        (MEMBERS, ("--slo-p99-ms", "0.001"), 1, "objective missed: p99_ms is "),
        (10**6, ("--slo-failure-percent", "100"), 0, ""),
        (10**6, ("--slo-failure-percent", "0.5"), 1, "objective missed: failure_percent is "),
    ],
)
def test_the_exit_status_says_whether_objectives_were_met(
    server: Server, chain: Chain, members: int, objectives: tuple[str, ...], status: int, line: str
) -> None:
    options = ("--zipf", "0", "--users", "1", "--run-time", "1s", "UnaryUser")

    done, _, errors = finish(start(*to(server, chain, members), *options, *objectives))

    assert done == status, errors
    assert line in errors
    assert ("objective missed" in errors) is bool(line)


def test_calls_that_wait_do_not_keep_others_from_being_answered(chain: Chain) -> None:
    users = 20

    with holding_redemptions(users) as (address, all_wait):
        options = ("--users", str(users), "--spawn-rate", str(users), "--run-time", "5s", "UnaryUser")
        finish(start("--host", address, "--api-key", chain.api_key, "--members", "9", *options))
        assert all_wait.is_set()


@contextmanager
def holding_redemptions(calls: int) -> Iterator[tuple[str, threading.Event]]:
    """A server that answers no redemption until so many wait; its address, and whether they did."""
    all_wait = threading.Event()
    waiting = itertools.count(1)

    def accrue(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        return b""

    def redeem(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        if next(waiting) == calls:
            all_wait.set()
        all_wait.wait(PATIENCE_SECONDS)
        return b""

    methods: dict[str, Any] = {
        "Accrue": grpc.unary_unary_rpc_method_handler(accrue),
        "Redeem": grpc.unary_unary_rpc_method_handler(redeem),
    }
    server = grpc.server(ThreadPoolExecutor(2 * calls))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", all_wait
    finally:
        all_wait.set()  # for those that still wait
        server.stop(None).wait()


@pytest.fixture
def web_page(server: Server, chain: Chain) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Locust with its web page, and the page's port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    page = ("--web-host", "127.0.0.1", "--web-port", str(port))
    process = start(*to(server, chain), *page, "UnaryUser", headless=False)
    try:
        yield process, port
    finally:
        process.kill()


def ask(port: int, path: str, **form: str) -> dict[str, Any]:
    """What the web page says; nothing while it is not there."""
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, PATIENCE_SECONDS) as reply:
            return dict(json.loads(reply.read()))
    except urllib.error.URLError:
        return {}


def test_the_web_page_chooses_the_shape_and_the_objectives(
    web_page: tuple["subprocess.Popen[str]", int],
) -> None:
    process, port = web_page
    eventually(lambda: ask(port, "/stats/requests"))
    users = {"user_count": "10", "spawn_rate": "10", "run_time": "4s"}

    shapeless = ask(port, "/swarm", **users, shape="rate", rate="0")
    limitless = ask(port, "/swarm", **users, slo_p99_ms="fast")
    started = ask(port, "/swarm", **users, shape="ramp", slo_p99_ms="0.001", slo_p50_ms="")
    eventually(lambda: ask(port, "/stats/requests")["state"] == "stopped")
    process.send_signal(signal.SIGINT)
    status, _, errors = finish(process)

    assert (shapeless["success"], shapeless["message"]) == (False, "--shape rate needs --rate")
    assert (limitless["success"], limitless["message"]) == (False, "p99_ms must be a number, not 'fast'")
    assert started["success"]
    assert "Ramping to 1 users" in errors
    assert "locust: objective missed: p99_ms is " in errors
    assert errors.count("objective missed") == 1
    assert "TypeError" not in errors
    assert status == 1


def test_a_shape_by_rate_needs_a_rate(server: Server, chain: Chain) -> None:
    status, _, errors = finish(start(*to(server, chain), "--shape", "rate", "UnaryUser"))

    assert status != 0
    assert "locust: --shape rate needs --rate" in errors
    assert "Traceback" not in errors
