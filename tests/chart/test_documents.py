"""What is written about the chart is what the chart is."""

import json
import re
import tomllib
from typing import Any

import helm_python as helm
import pytest
import yaml

from tests.chart import generate
from tests.chart.chart import CNPG, DATABASE, NAME, deployment, find, merged, render, render_files
from tests.chart.generate import CHART, documented_values, readme, schema_text
from tests.chart.test_objects import CERT_MANAGER

RULES_ALONE = merged(DATABASE, {"metrics": {"prometheusRule": {"enabled": True}}})
STALE = "run: python -m tests.chart.generate"


def test_the_readme_has_the_present_values() -> None:
    assert generate.README.read_text() == readme(), STALE


def test_the_schema_has_the_services_present_settings() -> None:
    assert generate.SCHEMA.read_text() == schema_text(), STALE


def test_every_default_is_documented_once() -> None:
    paths = [value.path for value in documented_values()]

    assert len(paths) == len(set(paths))


def test_the_schema_knows_the_values_that_there_are_and_no_others() -> None:
    values = yaml.safe_load(generate.VALUES.read_text())
    schema = json.loads(generate.SCHEMA.read_text())
    schema["properties"].pop("global")  # Helm's own

    assert list(undescribed(values, schema)) == []


def undescribed(values: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> list[str]:
    """Paths that are on one side alone; `settings` may name any that the service has."""
    properties = schema.get("properties")
    if properties is None or prefix == "settings.":
        return []
    missing = [prefix + name for name in values.keys() ^ properties.keys()]
    for name in values.keys() & properties.keys():
        if isinstance(values[name], dict):
            missing += undescribed(values[name], properties[name], f"{prefix}{name}.")
    return missing


def test_the_chart_runs_the_version_that_it_comes_with() -> None:
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == project["version"]


def test_a_release_fits_into_the_secret_that_helm_keeps_it_in() -> None:
    with helm.Chart.load(CHART) as chart:
        names = [file["name"] for file in chart.files]
        size_bytes = sum(len(file["data"]) for file in chart.files + chart.templates)

    assert not [name for name in names if "/tests/" in name or name.startswith("runbooks/")]
    assert size_bytes < 1_000_000


def notes(values: dict[str, Any]) -> str:
    return render_files(values)["loyalty-processor/templates/NOTES.txt"]


def test_the_notes_say_where_it_is_and_how_to_check_it() -> None:
    assert f"dns:///{NAME}-headless.shops.svc:50051" in notes(DATABASE)
    assert "helm test tills --namespace shops" in notes(DATABASE)


def test_the_notes_say_how_to_change_a_setting_without_a_rollout() -> None:
    config_map = find(render(DATABASE), "ConfigMap")
    labels = deployment(DATABASE)["spec"]["template"]["metadata"]["labels"]
    (selector,) = re.findall(r"--selector (\S+)", notes(DATABASE))

    assert config_map["metadata"]["name"] in notes(DATABASE)
    assert dict(label.split("=") for label in selector.split(",")).items() <= labels.items()
    assert "sh -c 'kill -HUP 1'" in notes(DATABASE)


@pytest.mark.parametrize(
    "values, warning",
    [
        (DATABASE, "TLS is off"),
        (merged(DATABASE, {"replicas": 1}), "There is one pod"),
        (DATABASE, "Nobody will be told of trouble"),
        (RULES_ALONE, "Alerts link to their runbooks by a path alone"),
        (merged(CNPG, {"migration": {"enabled": False}}), "migration.enabled is false"),
        (merged(DATABASE, CERT_MANAGER), "at SIGHUP. Run the command above a minute after each renewal"),
    ],
)
def test_the_notes_warn(values: dict[str, Any], warning: str) -> None:
    rules = {"enabled": True, "runbookBaseUrl": "https://git.example/loyalty"}
    every = {"tls": {"enabled": True, "secretName": "tls"}, "metrics": {"prometheusRule": rules}}

    assert warning in notes(values)
    assert warning not in notes(merged(DATABASE, every))
