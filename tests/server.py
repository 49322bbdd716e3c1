"""A real server for tests: a supervisor and its workers, as an operator starts them."""

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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil
from prometheus_client.parser import text_string_to_metric_families

REPOSITORY: Final = Path(__file__).parents[1]
COMMAND: Final = (sys.executable, "-m", "processor", "serve")
PATIENCE_SECONDS: Final = 60
DEFAULTS: Final[dict[str, object]] = {
    "log_format": "json",
    "drain_seconds": 0,
    "directory_refresh_seconds": 0.1,
}

T = TypeVar("T")


class Server:
    """A supervisor under way. `address` is gRPC's, `http` that of /healthz and /metrics: HOST:PORT."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    # --- what it says ---

    @cached_property
    def address(self) -> str:
        return str(self.wait_until_serving()["address"])

    @cached_property
    def http(self) -> str:
        """Known before any worker is there."""
        return str(self._await_event("starting")["http"])

    def wait_until_serving(self) -> dict[str, Any]:
        """The event that says that every worker serves for the first time."""
        return self._await_event("serving")

    def _await_event(self, name: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            assert self.process.poll() is None, self.log()
            return self.events(name)

        return eventually(found, describe=self.log)[0]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's events of that name."""
        lines = (line for line in self.log().splitlines() if line.startswith("{") and line.endswith("}"))
        return [event for event in map(json.loads, lines) if event.get("event") == name]

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page over HTTP."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=PATIENCE_SECONDS) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def health(self) -> dict[str, Any]:
        """What /healthz says."""
        return dict(json.loads(self.get("/healthz")[1]))

    def workers(self) -> list[dict[str, Any]]:
        """What it says of each worker."""
        return list(self.health()["workers"])

    def pids(self) -> list[int]:
        """Process ids of the workers, whatever their state."""
        return [worker["pid"] for worker in self.workers()]

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that serve."""
        return [worker["pid"] for worker in self.workers() if worker["state"] == "serving"]

    def metrics(self) -> str:
        return self.get("/metrics")[1]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        families = text_string_to_metric_families(self.metrics())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

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

    # --- what is done to it ---

    def send(self, name: str) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(signal.Signals[name])

    def stop(self, name: str = "SIGTERM") -> int:
        """End it as an operator does; the exit status."""
        self.send(name)
        return self.process.wait(PATIENCE_SECONDS)

    def kill_workers(self) -> None:
        """End every worker, whatever its state, as a crash would."""
        for pid in filter(None, self.pids()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the supervisor and its workers as a crash of the machine would, if they are still there."""
        if self.process.poll() is not None:
            return
        supervisor = psutil.Process(self.process.pid)
        for process in (supervisor, *supervisor.children()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(PATIENCE_SECONDS)


@contextmanager
def serving(dsn: str, **settings: object) -> Iterator[Server]:
    """A server on `dsn` with these settings, for as long as the block lasts; it must stop in order."""
    with started(dsn, **settings) as server:
        yield server
        status = server.stop()
        assert status == 0, f"exit status {status}\n{server.log()}"


@contextmanager
def started(dsn: str, **settings: object) -> Iterator[Server]:
    """The same for a server that the block may kill; whatever is left of it is killed at the end."""
    with launched(COMMAND, dsn=dsn, **{**DEFAULTS, **settings}) as server:
        server.wait_until_serving()
        yield server


@contextmanager
def launched(command: Sequence[str], **settings: object) -> Iterator[Server]:
    """The same without waiting until it serves, by any command."""
    with tempfile.TemporaryDirectory(prefix="loyalty-server-") as directory:
        log = Path(directory) / "log"
        # TMPDIR is for what a killed server leaves behind.
        given = environment(TMPDIR=directory, **settings)
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=given, stdout=output, stderr=output)
        server = Server(process, log)
        try:
            yield server
        finally:
            server.kill()


def environment(**settings: object) -> dict[str, str]:
    """The present one with these settings (in small letters) and other variables (in capitals)."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOYALTY_")}
    given = {"port": 0, "http_port": 0, **settings}
    return clean | {
        name if name.isupper() else f"LOYALTY_{name.upper()}": str(value) for name, value in given.items()
    }


def eventually(
    condition: Callable[[], T],
    timeout_seconds: float = PATIENCE_SECONDS,
    describe: Callable[[], object] = str,
) -> T:
    """Wait until the condition holds, and return its value; fail with the description if it never does."""
    deadline = time.monotonic() + timeout_seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, describe()
        time.sleep(0.02)
    return value


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
