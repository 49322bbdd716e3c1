"""A Prometheus that scrapes a server and evaluates the rules, every second."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from tests.alerts.rules import RULES_FILE
from tests.promtool import prometheus_binary
from tests.server import eventually

_STOP_SECONDS_MAX: Final = 30


class Prometheus:
    """One under way."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log
        self._port = 0

    def wait_until_ready(self) -> None:
        eventually(self._find_port, describe=self.log)
        eventually(self._is_ready, describe=self.log)

    def _find_port(self) -> bool:
        assert self._process.poll() is None, self.log()
        listening = psutil.Process(self._process.pid).net_connections("tcp4")
        self._port = next((each.laddr.port for each in listening if each.status == psutil.CONN_LISTEN), 0)
        return bool(self._port)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=10):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def log(self) -> str:
        return self._log.read_text()

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with how its last evaluation went."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def active_alerts(self) -> set[str]:
        """Names of the alerts whose condition holds, be it for long enough or not yet."""
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"]}

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression yields now."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def query_range(
        self, expression: str, start: float, end: float, step_seconds: float
    ) -> list[dict[str, Any]]:
        """The same over a span of time, in unix seconds."""
        span = {"start": str(start), "end": str(end), "step": str(step_seconds)}
        found: list[dict[str, Any]] = self._get("query_range", query=expression, **span)["result"]
        return found

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            data: dict[str, Any] = json.load(response)["data"]
            return data


@contextmanager
def watching(target: str, directory: Path) -> Iterator[Prometheus]:
    """A Prometheus for the target (HOST:PORT), with its data in `directory`."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES_FILE)],
        "scrape_configs": [{"job_name": "loyalty", "static_configs": [{"targets": [target]}]}],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = [
        prometheus_binary("prometheus"),
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        prometheus = Prometheus(process, log)
        prometheus.wait_until_ready()
        yield prometheus
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS_MAX)
