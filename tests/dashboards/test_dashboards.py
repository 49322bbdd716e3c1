"""The dashboards are what the code generates, are laid out well, and ask only for what there is."""

import itertools
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from monitoring.catalogue import catalogue
from monitoring.dashboards import rendered
from tests.alerts.rules import metric_names, recorded_names
from tests.dashboards.dashboards import FILES, PICTURE_KEYWORD, Query, digest, panels, queries

PICTURES: Final = Path(__file__).parents[2] / "docs/dashboards"
PICTURE_BYTES_MAX: Final = 200_000
COLUMNS: Final = 24
# Prometheus' own, and those of the rules.
OTHER_LABELS: Final = {"namespace", "job", "instance", "le", "slo", "window", "alertname", "alertstate"}

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_the_files_are_what_the_code_generates() -> None:
    assert {file: file.read_text() for file in FILES} == rendered(), "run: make docs"


@each_file
def test_it_can_be_imported_anywhere(file: Path) -> None:
    dashboard = json.loads(file.read_text())

    assert dashboard["uid"] == f"loyalty-{file.stem}"
    assert dashboard["schemaVersion"] >= 38
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == [
        "datasource",
        "namespace",
        "job",
        "chain",
    ]
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))


@each_file
def test_every_panel_says_what_it_shows_and_in_which_unit(file: Path) -> None:
    for panel in panels(file):
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
        assert panel["description"].endswith(".")
        assert unit_of(panel)


def unit_of(panel: dict[str, Any]) -> str:
    if panel["type"] == "heatmap":
        return str(panel["options"]["yAxis"]["unit"])
    return str(panel["fieldConfig"]["defaults"]["unit"])


@each_file
def test_panels_fill_the_rows_without_overlapping(file: Path) -> None:
    cells = [
        (column, line)
        for panel in json.loads(file.read_text())["panels"]
        for column, line in itertools.product(
            range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"]),
            range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"]),
        )
    ]
    lines = 1 + max(line for _, line in cells)
    assert sorted(cells) == list(itertools.product(range(COLUMNS), range(lines)))


@pytest.mark.parametrize("query", queries(), ids=str)
def test_it_asks_for_catalogued_metrics_by_their_own_labels(query: Query) -> None:
    metrics = catalogue()
    names = metric_names(query.expression)
    assert names <= {name for metric in metrics for name in metric.series} | recorded_names()
    labels = {label for metric in metrics if metric.series & names for label in metric.labels}
    assert labels_of(query) <= labels | OTHER_LABELS


def labels_of(query: Query) -> set[str]:
    """Those by which it selects, groups, or names its series."""
    grouped = ", ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", query.expression))
    selected = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query.expression)
    named = re.findall(r"\{\{(\w+)\}\}", query.legend)
    return {*filter(None, grouped.split(", ")), *selected, *named}


def test_every_metric_is_on_a_dashboard() -> None:
    shown = set().union(*(metric_names(query.expression) for query in queries()))

    assert [metric.name for metric in catalogue() if not metric.series & shown] == ["loyalty_build_info"]


@each_file
def test_there_is_a_picture_of_it_as_it_is(file: Path) -> None:
    picture = (PICTURES / f"{file.stem}.png").read_bytes()

    assert picture.startswith(b"\x89PNG")
    assert f"tEXt{PICTURE_KEYWORD}\0{digest(file)}".encode() in picture, "run: make pictures"
    assert len(picture) < PICTURE_BYTES_MAX
