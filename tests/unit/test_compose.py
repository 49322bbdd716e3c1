"""compose.yaml: it fits the image, the settings and the files that it mounts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.config import ENVIRONMENT_PREFIX, Settings, load_settings
from tests.promtool import promtool

ROOT = Path(__file__).parents[2]
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
PROCESSOR = SERVICES["processor"]
DEPLOY = ROOT / "deploy"


def mounts(service: str) -> dict[str, str]:
    """What is mounted there, by its path in the container."""
    volumes = (volume.split(":") for volume in SERVICES[service].get("volumes", []))
    return {target: source for source, target, *_ in volumes}


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_is_there(service: str) -> None:
    for source in mounts(service).values():
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_every_port_is_for_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_image_but_the_projects_own_has_a_version() -> None:
    images = {service["image"] for service in SERVICES.values()} - {"loyalty-processor"}
    assert all(re.fullmatch(r"[a-z/]+:v?[0-9.]+", image) for image in images)


@pytest.mark.parametrize("service", ["migrate", "processor"])
def test_the_settings_are_settings(service: str) -> None:
    given = SERVICES[service]["environment"]
    assert set(given) <= {ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields}
    load_settings(**{name.removeprefix(ENVIRONMENT_PREFIX).lower(): value for name, value in given.items()})


def test_the_processors_file_of_settings_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    command, option, path = PROCESSOR["command"]
    folder, _, name = path.rpartition("/")
    file = ROOT / mounts("processor")[folder] / name
    for variable, value in PROCESSOR["environment"].items():
        monkeypatch.setenv(variable, str(value))

    assert (command, option) == ("serve", "--env-file")
    settings = load_settings(file)
    assert (settings.workers, settings.log_level) == (2, "info")
    assert not {line.partition("=")[0] for line in file.read_text().splitlines()} & set(
        PROCESSOR["environment"]
    )


def test_the_service_has_time_to_drain_and_may_write_to_tmp_alone() -> None:
    stop_seconds = Settings.model_fields["stop_seconds"].default
    assert int(PROCESSOR["stop_grace_period"].removesuffix("s")) > stop_seconds
    assert (PROCESSOR["read_only"], PROCESSOR["tmpfs"]) == (True, ["/tmp"])  # noqa: S108 - the container's
    assert PROCESSOR["cap_drop"] == ["ALL"]


def test_prometheus_scrapes_the_service_where_it_serves() -> None:
    [job] = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
    [lookup] = job["dns_sd_configs"]
    assert lookup["names"] == ["processor"]
    assert lookup["port"] == Settings.model_fields["http_port"].default


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    for target, source in mounts("prometheus").items():
        if source.startswith("."):
            copy = tmp_path / target.removeprefix("/etc/prometheus/")
            copy.parent.mkdir(exist_ok=True)
            copy.write_text((ROOT / source).read_text())
    checked = promtool("check", "config", tmp_path / "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout
    assert "1 rule files found" in checked.stdout


def test_prometheus_has_the_rules_and_grafana_the_dashboards_and_their_source() -> None:
    config = "/etc/prometheus/prometheus.yaml"
    assert f"--config.file={config}" in SERVICES["prometheus"]["command"]
    assert mounts("prometheus")[config] == "./deploy/prometheus.yaml"
    assert "/etc/prometheus/rules/loyalty.rules.yaml" in mounts("prometheus")
    provisioning = DEPLOY / "grafana/provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards/loyalty.yaml").read_text())["providers"]
    assert provider["options"]["path"] in mounts("grafana")
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
