"""A real server for tests: the supervisor and its workers, as an operator starts them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

REPOSITORY: Final = Path(__file__).parents[1]
COMMAND: Final = (sys.executable, "-m", "processor", "serve")
START_SECONDS_MAX: Final = 60
STOP_SECONDS_MAX: Final = 60
DEFAULTS: Final = {
    "port": 0,
    "http_port": 0,
    "log_format": "json",
    "drain_seconds": 0,
    "directory_refresh_seconds": 0.1,
}

T = TypeVar("T")


class Server:
    """A supervisor under way. `address` is gRPC's, `http` that of /healthz and /metrics."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.address = ""
        self.http = ""
        self._log = log

    def wait_until_serving(self) -> None:
        """Return once every worker serves for the first time."""
        eventually(self._find_addresses, START_SECONDS_MAX, self.log)

    def _find_addresses(self) -> bool:
        assert self.process.poll() is None, self.log()
        for line in self.log().splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "serving":
                self.address, self.http = event["address"], event["http"]
        return bool(self.address)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def health(self) -> dict[str, Any]:
        """What /healthz says."""
        return dict(json.loads(self._get("/healthz")))

    def metrics(self) -> str:
        return self._get("/metrics").decode()

    def _get(self, path: str) -> bytes:
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=10) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.read()

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that serve."""
        return [worker["pid"] for worker in self.health()["workers"] if worker["state"] == "serving"]

    def kill_workers(self) -> None:
        """End every worker, whatever its state, as a crash would."""
        pids = [worker["pid"] for worker in self.health()["workers"]]
        for pid in filter(None, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def connections(self) -> dict[int, int]:
        """How many connections each worker has accepted and not closed, by process id."""
        port = int(self.address.rpartition(":")[2])
        return {
            pid: sum(
                connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
                for connection in psutil.Process(pid).net_connections("tcp")
            )
            for pid in self.worker_pids()
        }

    def stop(self) -> int:
        """End it as an operator does; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """End the supervisor and its workers as a crash of the machine would."""
        family = [self.process.pid, *(child.pid for child in psutil.Process(self.process.pid).children())]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(dsn: str, *, failpoints: str = "", **settings: object) -> Iterator[Server]:
    """A server on `dsn` with these settings, for as long as the block lasts; it must stop in order."""
    with started(dsn, failpoints=failpoints, **settings) as server:
        yield server
        status = server.stop()
        assert status == 0, f"exit status {status}\n{server.log()}"


@contextmanager
def started(dsn: str, *, failpoints: str = "", **settings: object) -> Iterator[Server]:
    """The same for a server that the block may kill; whatever is left of it is killed at the end."""
    given = {"dsn": dsn, **DEFAULTS, **settings}
    environment = {f"LOYALTY_{name.upper()}": str(value) for name, value in given.items()}
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    if failpoints:
        environment["LOYALTY_FAILPOINTS"] = failpoints
    with tempfile.TemporaryDirectory(prefix="loyalty-server-") as directory:
        environment["TMPDIR"] = directory  # what a killed server leaves behind
        log = Path(directory) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(COMMAND, env=environment, stdout=output, stderr=output)
        server = Server(process, log)
        try:
            server.wait_until_serving()
            yield server
        finally:
            if process.poll() is None:
                server.kill()


def eventually(
    condition: Callable[[], object], timeout_seconds: float = 30, describe: Callable[[], object] = str
) -> None:
    """Wait until the condition holds; fail with the description if it does not in time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.02)


async def eventually_true(condition: Callable[[], Awaitable[bool]], timeout_seconds: float = 30) -> None:
    """The same for a condition that has to be awaited."""
    async with asyncio.timeout(timeout_seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def in_thread(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave something that blocks while the event loop goes on."""
    entered = await asyncio.to_thread(manager.__enter__)
    try:
        yield entered
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)
