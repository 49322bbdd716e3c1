"""Every object that the chart can bring forth, against the schemas of Kubernetes and of the operators."""

import json
from functools import cache
from typing import Any, Final

import helm_python as helm
import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator

from tests.chart.chart import CNPG, DATABASE, Object, dotted, find_all, merged, pod_specs, render
from tests.chart.generate import CHART

# The oldest that Chart.yaml allows, and the newest there is a schema for.
KUBERNETES_VERSIONS: Final = ("1.30", kubernetes_validate.latest_version())
CUSTOM: Final[dict[str, Any]] = yaml.safe_load(
    (CHART.parents[1] / "tests/chart/custom_resources.yaml").read_text()
)

CERT_MANAGER: Final = {
    "tls": {"enabled": True, "certManager": {"enabled": True, "issuerRef": {"name": "ca"}}}
}
KEDA: Final = {"keda": {"enabled": True, "prometheus": {"serverAddress": "http://prometheus:9090"}}}
EXTERNAL: Final = {
    "database": {
        "externalSecret": {
            "enabled": True,
            "secretStoreRef": {"name": "vault"},
            "dsn": {"key": "loyalty", "property": "dsn"},
            "ownerDsn": {"key": "loyalty", "property": "owner"},
        }
    }
}
PLAIN: Final = {"database": {"dsn": "postgresql://a:b@db/loyalty", "ownerDsn": "postgresql://o:p@db/loyalty"}}
CONFIG_MAP: Final = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "{{ .Release.Name }}-more"},
}

CASES: Final[dict[str, dict[str, Any]]] = {
    "the least": DATABASE,
    "a DSN in the values": PLAIN,
    "an external secret": EXTERNAL,
    "a cluster of its own": CNPG,
    "a cluster with everything": merged(
        CNPG,
        {
            "cnpg": {
                "imageName": "postgresql:18",
                "instances": 5,
                "synchronousStandbys": 2,
                "storage": {"size": "1Ti", "storageClass": "fast"},
                "parameters": {"max_connections": "300"},
                "resources": {"requests": {"cpu": "4"}},
                "podMonitor": True,
                "spec": {"backup": {"retentionPolicy": "30d"}},
            }
        },
    ),
    "a cluster without synchronous standbys": merged(CNPG, dotted("cnpg.synchronousStandbys", 0)),
    "no migration": merged(DATABASE, dotted("migration.enabled", False)),
    "verifications": merged(
        DATABASE,
        {
            "verification": {
                "enabled": True,
                "timeZone": "Europe/Berlin",
                "podAnnotations": {"example/mesh": "off"},
            }
        },
    ),
    "verifications with an external secret": merged(EXTERNAL, dotted("verification.enabled", True)),
    "verifications of a cluster": merged(
        CNPG, {"verification": {"enabled": True, "schedule": "@daily"}, "migration": {"enabled": False}}
    ),
    "TLS by a Secret": merged(DATABASE, {"tls": {"enabled": True, "secretName": "tls"}}),
    "TLS by cert-manager": merged(
        DATABASE, CERT_MANAGER, dotted("tls.certManager.dnsNames", ["pos.example"])
    ),
    "mTLS": merged(DATABASE, CERT_MANAGER, dotted("tls.clientCa.secretName", "tills-ca")),
    "no headless Service": merged(DATABASE, dotted("service.headless", False)),
    "a load balancer": merged(
        DATABASE, {"service": {"type": "LoadBalancer", "annotations": {"example/internal": "true"}}}
    ),
    "an autoscaler": merged(DATABASE, dotted("autoscaling.enabled", True)),
    "an autoscaler on the CPU alone": merged(
        DATABASE, {"autoscaling": {"enabled": True, "queueOperations": 0}}
    ),
    "an autoscaler on the queue alone": merged(DATABASE, {"autoscaling": {"enabled": True, "cpuPercent": 0}}),
    "an autoscaler that behaves otherwise": merged(
        DATABASE,
        {"autoscaling": {"enabled": True, "behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}},
    ),
    "KEDA": merged(DATABASE, KEDA),
    "KEDA with a login": merged(DATABASE, KEDA, dotted("keda.prometheus.authenticationRef", "prometheus")),
    "a budget of pods that stay": merged(DATABASE, {"pdb": {"maxUnavailable": "", "minAvailable": "50%"}}),
    "no budget": merged(DATABASE, dotted("pdb.enabled", False)),
    "no spread": merged(DATABASE, {"topologySpread": {"zone": "", "node": ""}}),
    "a strict spread": merged(DATABASE, dotted("topologySpread.zone", "DoNotSchedule")),
    "no ServiceAccount": merged(DATABASE, dotted("serviceAccount.create", False)),
    "no NetworkPolicy": merged(DATABASE, dotted("networkPolicy.enabled", False)),
    "a NetworkPolicy both ways": merged(
        DATABASE,
        {
            "networkPolicy": {
                "grpcFrom": [{"namespaceSelector": {"matchLabels": {"tills": "yes"}}}],
                "metricsFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
                "egress": {
                    "enabled": True,
                    "databaseTo": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
                    "databasePorts": [5432, 6432],
                    "extra": [{"ports": [{"port": 4317}]}],
                },
            }
        },
    ),
    "a NetworkPolicy beside a cluster": merged(CNPG, dotted("networkPolicy.egress.enabled", True)),
    "monitoring": merged(
        DATABASE,
        {
            "metrics": {
                "serviceMonitor": {
                    "enabled": True,
                    "labels": {"release": "prometheus"},
                    "metricRelabelings": [
                        {"action": "drop", "regex": "grpc_.+", "sourceLabels": ["__name__"]}
                    ],
                    "relabelings": [{"action": "replace", "replacement": "eu", "targetLabel": "region"}],
                },
                "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
                "dashboards": {"enabled": True},
            }
        },
    ),
    "everything extra": merged(
        DATABASE,
        {
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "extraEnv": [{"name": "LOYALTY_OTLP", "value": "on"}],
            "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
            "extraObjects": [
                CONFIG_MAP,
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Chart.Name }}'}",
            ],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/postgresql-ca"}],
            "extraVolumes": [{"name": "ca", "configMap": {"name": "postgresql-ca"}}],
            "imagePullSecrets": [{"name": "registry"}],
            "migration": {"podAnnotations": {"example/mesh": "off"}},
            "nodeSelector": {"disk": "fast"},
            "podAnnotations": {"example/reload": "true"},
            "podLabels": {"team": "loyalty"},
            "priorityClassName": "high",
            "tolerations": [{"key": "tills", "operator": "Exists"}],
        },
    ),
    "an image by digest": merged(DATABASE, dotted("image.digest", f"sha256:{'0' * 64}")),
    "names of one's own": merged(DATABASE, dotted("fullnameOverride", "points")),
    "IPv6": merged(DATABASE, dotted("listenAddress", "::")),
}

cases = pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())


@cases
@pytest.mark.parametrize("is_upgrade", [False, True], ids=["install", "upgrade"])
def test_every_object_fits_its_schema(values: dict[str, Any], is_upgrade: bool) -> None:  # noqa: FBT001
    for item in render(values, is_upgrade=is_upgrade):
        if f"{item['apiVersion']}/{item['kind']}" in CUSTOM:
            check_custom(item)
        else:
            check_kubernetes(json.dumps(item))


def check_custom(item: Object) -> None:
    validator = Draft7Validator(CUSTOM[f"{item['apiVersion']}/{item['kind']}"])
    assert [error.message for error in validator.iter_errors(item["spec"])] == []


@cache
def check_kubernetes(item: str) -> None:
    """Most objects are the same in most cases, and a check takes a tenth of a second."""
    for version in KUBERNETES_VERSIONS:
        kubernetes_validate.validate(json.loads(item), version, strict=True)


@cases
def test_lint_finds_nothing_wrong(values: dict[str, Any]) -> None:
    report = helm.lint(CHART, values, strict=True)
    found = [message["error"] for message in report["messages"] if message["severity"] > 1]

    assert found + report["errors"] == []


@cases
def test_no_two_objects_are_the_same(values: dict[str, Any]) -> None:
    objects = render(values)
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]

    assert len(names) == len(set(names))


@cases
def test_every_pod_keeps_the_restricted_security_standard(values: dict[str, Any]) -> None:
    for spec in pod_specs(render(values)):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert container["resources"]["limits"]["memory"]


@cases
def test_every_pod_has_somewhere_to_write(values: dict[str, Any]) -> None:
    for spec in pod_specs(render(values)):
        (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "tmp"]
        assert volume["emptyDir"]["sizeLimit"]
        for container in spec["containers"]:
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]  # noqa: S108
            assert {"name": "TMPDIR", "value": "/tmp"} in container["env"]  # noqa: S108


def test_extra_objects_may_be_templates() -> None:
    names = {item["metadata"]["name"] for item in find_all(render(CASES["everything extra"]), "ConfigMap")}

    assert {"tills-more", "loyalty-processor"} <= names
