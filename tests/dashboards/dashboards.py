"""The dashboards as Grafana reads them: their panels, and the queries with the variables filled in."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from monitoring.dashboards import DIRECTORY

FILES: Final = sorted(DIRECTORY.glob("*.json"))
# Under it, a picture has the digest of what it shows.
PICTURE_KEYWORD: Final = "Dashboard"
_VARIABLES: Final = {"__rate_interval": "10s", "namespace": ".*", "job": ".*", "chain": ".*"}


class Query(NamedTuple):
    """One query of a panel; `legend` names the labels of its series as `{{label}}`."""

    dashboard: str
    panel: str
    expression: str
    legend: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.legend}"

    @property
    def filled(self) -> str:
        """The expression as Grafana sends it."""
        return fill(self.expression)


def fill(expression: str) -> str:
    """PromQL with "All" chosen for every variable."""
    return re.sub(r"\$(\w+)", lambda variable: _VARIABLES[variable[1]], expression)


def panels(file: Path) -> list[dict[str, Any]]:
    """All of them but the headings of rows."""
    return [panel for panel in json.loads(file.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    """Those of all dashboards."""
    return [query for file in FILES for panel in panels(file) for query in queries_of(file, panel)]


def queries_of(file: Path, panel: dict[str, Any]) -> Iterator[Query]:
    """Those of one panel."""
    for target in panel["targets"]:
        yield Query(file.stem, panel["title"], target["expr"], target["legendFormat"])


def digest(file: Path) -> str:
    """Of what a dashboard shows: it changes with the title of a panel or row, a query or its legend."""
    titles = [panel["title"] for panel in json.loads(file.read_text())["panels"]]
    asked = [query for panel in panels(file) for query in queries_of(file, panel)]
    return hashlib.sha256(json.dumps([titles, asked]).encode()).hexdigest()
