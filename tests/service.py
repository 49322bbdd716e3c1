"""The service as tests start it: a supervisor, its log and its HTTP side."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_SECONDS: Final = 60


def wait_until(condition: Callable[[], Any]) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError(condition)


def environment(**options: object) -> dict[str, str]:
    """The present one with these settings (in small letters) and other variables (in capitals)."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOYALTY_")}
    given = {"port": 0, "http_port": 0, **options}
    return clean | {
        name if name.isupper() else f"LOYALTY_{name.upper()}": str(value) for name, value in given.items()
    }


class Service:
    """A supervisor under way."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's events of that name."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return [line for line in lines if line["event"] == name]

    def serving(self) -> dict[str, Any]:
        """Wait for the line that says that all serve."""

        def line() -> list[dict[str, Any]]:
            assert self.process.poll() is None, self.log.read_text()
            return self.events("serving")

        event: dict[str, Any] = wait_until(line)[0]
        return event

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urlopen(f"http://{self.http}{path}", timeout=PATIENCE_SECONDS) as reply:
                return reply.status, reply.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    @property
    def http(self) -> str:
        """HOST:PORT of the HTTP side, which is there before any worker."""
        address: str = wait_until(lambda: self.events("starting"))[0]["http"]
        return address

    def workers(self) -> list[dict[str, Any]]:
        """As /healthz tells."""
        workers: list[dict[str, Any]] = json.loads(self.get("/healthz")[1])["workers"]
        return workers

    def pids(self) -> list[int]:
        """The workers' processes."""
        return [worker["pid"] for worker in self.workers()]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def has_counted(self, signals: int) -> bool:
        """Whether the workers have counted that many signals together."""
        return self.metric("tiny_signals_total", kind="usr1") == signals

    def send(self, name: str) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(signal.Signals[name])

    def stop(self, name: str) -> int:
        """Send the signal and wait for the exit status."""
        self.send(name)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def launched(command: Sequence[str], log: Path, **options: object) -> Iterator[Service]:
    """The service, started with these settings; whatever is left of it is killed at the end."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env=environment(TMPDIR=log.parent, **options), stderr=stderr)
    try:
        yield Service(process, log)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that may have ended, and its children."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children():
            child.kill()
    process.kill()
    process.wait(PATIENCE_SECONDS)
