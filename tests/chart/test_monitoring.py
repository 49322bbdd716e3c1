"""What Prometheus and Grafana are given."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.chart import DATABASE, find, find_all, merged, refusal, render
from tests.chart.generate import CHART, README
from tests.promtool import promtool

RULES = CHART / "files/rules/loyalty.rules.yaml"
DASHBOARD = {"title": "path of a call", "panels": [{"legendFormat": '{{method}}: {{ "`x`" }}'}]}


def rendered_rules(**values: Any) -> dict[str, Any]:
    objects = render(merged(DATABASE, {"metrics": {"prometheusRule": {"enabled": True, **values}}}))
    return dict(find(objects, "PrometheusRule")["spec"])


def test_the_service_monitor_finds_the_metrics_service_alone() -> None:
    objects = render(merged(DATABASE, {"metrics": {"serviceMonitor": {"enabled": True}}}))
    monitor = find(objects, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    (service,) = [
        item for item in find_all(objects, "Service") if wanted <= item["metadata"]["labels"].items()
    ]

    assert [port["name"] for port in service["spec"]["ports"]] == [
        endpoint["port"] for endpoint in monitor["endpoints"]
    ]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "loyalty-processor"


def test_the_rules_are_those_of_the_file() -> None:
    assert rendered_rules() == yaml.safe_load(RULES.read_text())


@pytest.mark.parametrize("end", ["", "/"])
def test_runbooks_can_be_put_behind_the_address_that_the_readme_gives_for_the_repository(end: str) -> None:
    [base] = re.findall(r"--set metrics\.prometheusRule\.runbookBaseUrl=(\S+)", README.read_text())
    spec = rendered_rules(runbookBaseUrl=base + end)
    alerts = [rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule]

    assert alerts
    for alert in alerts:
        address, _, path = alert["annotations"]["runbook_url"].partition("/docs/")
        assert address == base
        assert (CHART.parents[1] / "docs" / path).is_file()


def test_what_is_no_address_is_refused() -> None:
    rules = {"metrics": {"prometheusRule": {"enabled": True, "runbookBaseUrl": "git.example/loyalty"}}}

    assert "runbookBaseUrl" in refusal(merged(DATABASE, rules))


def test_promtool_accepts_the_rendered_rules(tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump(rendered_rules()))
    checked = promtool("check", "rules", file)

    assert checked.returncode == 0, checked.stdout


def test_every_dashboard_is_a_config_map_that_the_sidecar_finds(tmp_path: Path) -> None:
    chart = shutil.copytree(CHART, tmp_path / "chart")
    dashboards = chart / "files/dashboards"
    dashboards.mkdir(exist_ok=True)
    (dashboards / "one-more.json").write_text(json.dumps(DASHBOARD, indent=2) + "\n")
    values = {"metrics": {"dashboards": {"enabled": True}}}
    maps = [
        item
        for item in find_all(render(merged(DATABASE, values), chart=chart), "ConfigMap")
        if "grafana_dashboard" in item["metadata"]["labels"]
    ]
    found = {name: json.loads(text) for item in maps for name, text in item["data"].items()}

    assert found == {path.name: json.loads(path.read_text()) for path in dashboards.glob("*.json")}
    assert found["one-more.json"] == DASHBOARD


def test_nothing_that_needs_an_operator_is_there_unasked() -> None:
    assert {item["apiVersion"] for item in render(DATABASE)} == {
        "apps/v1",
        "batch/v1",
        "networking.k8s.io/v1",
        "policy/v1",
        "v1",
    }
