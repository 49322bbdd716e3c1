"""`top` on a real server: once for people and for machines, live on a terminal, and where there is none."""

import asyncio
import json
import os
import pty
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Final, NoReturn

import pytest

from tests.chains import Chain, new_chain
from tests.client import Till
from tests.requests import accrue
from tests.server import Server, eventually_true, serving

TOP: Final = (sys.executable, "-m", "processor", "top")
END_SECONDS: Final = 60


@pytest.fixture
def server(database: str) -> Iterator[Server]:
    with serving(database, measure_seconds=1) as server:
        yield server


def ended(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, once it has ended."""
    return subprocess.run(
        [*TOP, *arguments], capture_output=True, text=True, check=False, timeout=END_SECONDS
    )


async def send_calls(chain: Chain, server: Server) -> NoReturn:
    """One after another, for ever; each earns a point."""
    async with Till(server.address, chain.api_key) as till:
        while True:
            await till.write(accrue(1))


async def test_once_it_prints_what_happened_between_two_looks(database: str, server: Server) -> None:
    chain = await new_chain(database)
    await chain.add_members([1])
    calls = asyncio.create_task(send_calls(chain, server))
    url = f"http://{server.http}/metrics"
    await eventually_true(lambda: asyncio.to_thread(lambda: chain.name in server.metrics()))
    printed = await asyncio.to_thread(ended, "--once", "--json", "--url", url)
    calls.cancel()
    figures = json.loads(printed.stdout)
    assert figures["workers_serving"] == figures["workers_wanted"] == 1
    assert figures["traffic"]["operations"] > 0
    [found] = figures["chains"]
    assert found["chain"] == chain.name
    assert found["operations"] == found["issued_points"] == figures["traffic"]["operations"]
    assert 0 < figures["path"]["commit_seconds"]["p50"] <= figures["path"]["call_seconds"]["p99"]
    assert figures["database"]["is_up"]
    assert figures["database"]["partition_runway_seconds"] > 0

    shown = await asyncio.to_thread(ended, "--once", "--interval", "0.1", "--url", url)
    assert shown.returncode == 0, shown.stderr
    assert chain.name in shown.stdout
    assert len(shown.stdout.splitlines()) == 24


def test_on_a_terminal_it_goes_on_until_q(server: Server) -> None:
    terminal, theirs = pty.openpty()
    command = [*TOP, "--interval", "0.2", "--url", f"http://{server.http}/metrics"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = read_until(terminal, b"q quits", b"q quits", b"workers 1/1")
        os.write(terminal, b"xq")
        drain(terminal)
        assert process.wait(END_SECONDS) == 0
    assert b"Traceback" not in shown
    os.close(terminal)


def read_until(terminal: int, *wanted: bytes) -> bytes:
    """What the terminal showed, up to when it has shown each of these after the other."""
    shown = b""
    for each in wanted:
        rest = len(shown)
        while each not in shown[rest:]:
            ready, _, _ = select.select([terminal], [], [], END_SECONDS)
            assert ready, shown
            shown += os.read(terminal, 65_536)
    return shown


def drain(terminal: int) -> None:
    """Take what it still writes, or it could not end."""
    try:
        while os.read(terminal, 65_536):
            pass
    except OSError:
        return


def test_without_a_server_or_a_terminal_one_line_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/metrics"
    away = ended("--once", "--url", url)
    assert away.returncode == 1
    assert (
        away.stderr
        == f"loyalty-processor: {url} can't be read: Connection refused; is a server running there?\n"
    )
    assert "needs a terminal; --once prints" in ended("--url", url).stderr
    assert "--json needs --once" in ended("--json").stderr


def test_of_something_else_one_line_says_so() -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(b"up 1\n")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        Thread(target=stranger.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{stranger.server_port}"
        other, missing = ended("--once", "--url", f"{url}/metrics"), ended("--once", "--url", f"{url}/none")
        stranger.shutdown()
    assert "answers, but not as a loyalty-processor: name a server's /metrics" in other.stderr
    assert "answers 404 Not Found: name a server's /metrics" in missing.stderr
    assert other.returncode == missing.returncode == 1
