"""Grafana's dashboards, written in Python and generated as JSON."""

from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitoring.dashboards.business import business
from monitoring.dashboards.load_test import load_test
from monitoring.dashboards.overview import overview
from monitoring.dashboards.path import path
from monitoring.dashboards.postgresql import postgresql

DIRECTORY: Final = Path(__file__).parents[2] / "helm/loyalty-processor/files/dashboards"
# That of Grafana 10, which its library does not set; newer ones take it as it is.
_SCHEMA_VERSION: Final = 38
_DASHBOARDS: Final = {
    "overview": overview,
    "path": path,
    "postgresql": postgresql,
    "business": business,
    "load-test": load_test,
}


def rendered() -> Mapping[Path, str]:
    """By the file that it belongs into: each dashboard's JSON."""
    return {DIRECTORY / f"{name}.json": _json(make()) for name, make in _DASHBOARDS.items()}


def _json(builder: Dashboard) -> str:
    dashboard = builder.build()
    dashboard.schema_version = _SCHEMA_VERSION
    for number, panel in enumerate(dashboard.panels or (), start=1):
        panel.id_val = number
    return dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
