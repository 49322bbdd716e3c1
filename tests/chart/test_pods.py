"""The pods of the service: settings, probes, the way they stop, TLS, and where they run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from processor.config import Settings, load_settings
from tests.chart import generate
from tests.chart.chart import (
    DATABASE,
    NAME,
    deployment,
    find,
    find_all,
    merged,
    pod_specs,
    render,
    server,
    settings_file,
    variables,
)
from tests.chart.test_objects import CERT_MANAGER

LARGE: Final = {
    "batch_ops_max": 1_000,
    "connection_age_seconds_max": 86_400,
    "drain_seconds": 0.5,
    "log_level": "debug",
    "message_bytes_max": 64 * 1_024 * 1_024,
    "queue_ops_max": 10_000_000,
    "statement_timeout_seconds": 0.1,
    "workers": 16,
}


Load = Callable[[dict[str, Any]], Settings]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """The settings as the service reads them in a pod."""

    def load(values: dict[str, Any]) -> Settings:
        for name in Settings.model_fields:
            monkeypatch.delenv(f"LOYALTY_{name.upper()}", raising=False)
        for name, value in variables(server(values)).items():
            monkeypatch.setenv(name, value)
        file = tmp_path / "settings.env"
        file.write_text(settings_file(values))
        return load_settings(file, dsn="postgresql://pod@db/loyalty")

    return load


def test_the_service_reads_every_setting_as_it_was_given(loaded: Load) -> None:
    settings = loaded(merged(DATABASE, {"settings": LARGE}))

    assert {name: getattr(settings, name) for name in LARGE} == LARGE


def test_settings_are_in_the_file_alone_since_a_variable_would_win_at_sighup() -> None:
    container = server(merged(DATABASE, {"settings": LARGE}))
    named = {variable["name"] for variable in container["env"]}

    assert container["args"][:2] == ["serve", "--env-file"]
    assert not named & {f"LOYALTY_{name.upper()}" for name in generate.settings_properties()}


def test_a_variable_of_ones_own_wins_over_the_file(loaded: Load) -> None:
    values = merged(
        DATABASE, {"settings": {"lanes": 4}}, {"extraEnv": [{"name": "LOYALTY_LANES", "value": "5"}]}
    )

    assert loaded(values).lanes == 5


def test_other_settings_in_the_values_are_rolled_out() -> None:
    def annotations(level: str) -> dict[str, str]:
        values = merged(DATABASE, {"settings": {"log_level": level}})
        return dict(deployment(values)["spec"]["template"]["metadata"]["annotations"])

    assert annotations("info") == annotations("info") != annotations("debug")


def test_the_service_listens_where_the_pod_says(loaded: Load) -> None:
    values = merged(DATABASE, {"service": {"port": 8443}, "metrics": {"port": 9000}, "listenAddress": "::"})
    settings = loaded(values)
    ports = {port["name"]: port["containerPort"] for port in server(values)["ports"]}

    assert (settings.host, settings.http_host) == ("::", "::")
    assert ports == {"grpc": settings.port, "http": settings.http_port} == {"grpc": 8443, "http": 9000}


def test_the_chart_needs_nothing_but_the_database(loaded: Load) -> None:
    settings = loaded(DATABASE)

    assert settings.log_format == "json"
    assert settings.host == "0.0.0.0"  # noqa: S104


def test_readiness_asks_for_the_services_health_and_liveness_never_asks_postgresql() -> None:
    container = server(DATABASE)

    assert container["readinessProbe"]["grpc"] == {
        "port": 50_051,
        "service": "loyalty.v1.TransactionService",
    }
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/livez", "port": "http"}


def test_with_tls_readiness_goes_over_http_since_the_kubelet_knows_none() -> None:
    probe = server(merged(DATABASE, CERT_MANAGER))["readinessProbe"]

    assert probe["httpGet"] == {"path": "/healthz", "port": "http"}
    assert "grpc" not in probe


@pytest.mark.parametrize(
    "values, seconds",
    [
        ({}, 40),
        ({"preStopSeconds": 0}, 35),
        ({"settings": {"stop_seconds": 90.5}}, 101),
        ({"preStopSeconds": 20, "settings": {"drain_seconds": 25, "stop_seconds": 60}}, 85),
        ({"terminationGracePeriodSeconds": 600}, 600),
    ],
)
def test_a_pod_has_the_time_that_it_takes_to_stop(values: dict[str, Any], seconds: int) -> None:
    (spec,) = pod_specs([deployment(merged(DATABASE, values))])

    assert spec["terminationGracePeriodSeconds"] == seconds


def test_the_pause_before_stopping_can_be_left_out() -> None:
    assert server(DATABASE)["lifecycle"]["preStop"] == {"sleep": {"seconds": 5}}
    assert "lifecycle" not in server(merged(DATABASE, {"preStopSeconds": 0}))


def test_a_rollout_never_has_fewer_pods_than_asked_for() -> None:
    strategy = deployment(DATABASE)["spec"]["strategy"]["rollingUpdate"]

    assert strategy == {"maxUnavailable": 0, "maxSurge": "25%"}


def test_tls_reads_the_secret_that_cert_manager_writes() -> None:
    objects = render(merged(DATABASE, CERT_MANAGER))
    (spec,) = pod_specs([find(objects, "Deployment")])
    (container,) = spec["containers"]
    secrets = {v["name"]: v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v}

    assert secrets == {"tls": find(objects, "Certificate")["spec"]["secretName"]}
    assert {"name": "tls", "mountPath": "/etc/loyalty/tls", "readOnly": True} in container["volumeMounts"]
    assert variables(container)["LOYALTY_TLS_CERT_FILE"] == "/etc/loyalty/tls/tls.crt"
    assert variables(container)["LOYALTY_TLS_KEY_FILE"] == "/etc/loyalty/tls/tls.key"


def test_the_certificate_names_both_services() -> None:
    objects = render(merged(DATABASE, CERT_MANAGER))
    names = find(objects, "Certificate")["spec"]["dnsNames"]

    for service in (NAME, f"{NAME}-headless"):
        assert {service, f"{service}.shops.svc", f"{service}.shops.svc.cluster.local"} <= set(names)


def test_mtls_mounts_the_clients_authority_under_the_name_that_the_service_is_told() -> None:
    values = merged(DATABASE, CERT_MANAGER, {"tls": {"clientCa": {"secretName": "tills", "key": "root.pem"}}})
    (spec,) = pod_specs([deployment(values)])
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "client-ca"]

    assert volume["secret"]["items"] == [{"key": "root.pem", "path": "ca.crt"}]
    assert variables(server(values))["LOYALTY_TLS_CLIENT_CA_FILE"] == "/etc/loyalty/client-ca/ca.crt"


def test_pods_spread_over_zones_and_nodes_of_one_rollout() -> None:
    (spec,) = pod_specs([deployment(DATABASE)])
    labels = deployment(DATABASE)["spec"]["template"]["metadata"]["labels"]

    assert {item["topologyKey"] for item in spec["topologySpreadConstraints"]} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    for constraint in spec["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment"])
def test_every_selector_finds_the_pods_of_the_service_and_no_others(kind: str) -> None:
    objects = render(DATABASE)
    server_labels = find(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    others = [
        find(objects, "Job")["spec"]["template"]["metadata"]["labels"],
        find(objects, "Pod")["metadata"]["labels"],
    ]

    for item in find_all(objects, kind):
        selector = item["spec"].get("podSelector", item["spec"].get("selector"))
        wanted = selector.get("matchLabels", selector).items()
        assert wanted <= server_labels.items()
        assert not any(wanted <= labels.items() for labels in others)


def test_the_headless_service_has_an_address_for_every_ready_pod_and_metrics_for_the_others_too() -> None:
    objects = render(DATABASE)

    assert find(objects, "Service", f"{NAME}-headless")["spec"]["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in find(objects, "Service", f"{NAME}-headless")["spec"]
    assert find(objects, "Service", f"{NAME}-metrics")["spec"]["publishNotReadyAddresses"] is True


def test_a_changed_dsn_in_the_values_restarts_the_pods() -> None:
    def annotations(dsn: str) -> dict[str, str]:
        values = {"database": {"dsn": dsn, "ownerDsn": dsn}}
        return dict(deployment(values)["spec"]["template"]["metadata"]["annotations"])

    assert annotations("postgresql://a@b/c") != annotations("postgresql://a@b/d")


def test_the_name_of_a_long_release_still_fits_a_label() -> None:
    values = merged(DATABASE, {"fullnameOverride": "l" + "o" * 98 + "ng"})

    assert max(len(item["metadata"]["name"]) for item in render(values)) <= 63
