"""Values that are refused: those that contradict each other, and those that the schema does not know."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.chart.chart import CNPG, DATABASE, dotted, merged, refusal, render
from tests.chart.test_objects import CERT_MANAGER, EXTERNAL, KEDA, PLAIN

CONTRADICTIONS: dict[str, tuple[Mapping[str, Any], str]] = {
    "no database": ({}, "no PostgreSQL is named"),
    "two databases": (merged(DATABASE, PLAIN), "keep one of database.dsn, database.existingSecret.name"),
    "a cluster and a DSN": (merged(CNPG, PLAIN), "keep one of database.dsn, cnpg.enabled"),
    "a cluster and a Secret": (merged(CNPG, DATABASE), "database.existingSecret.name, cnpg.enabled"),
    "a store and a Secret": (merged(EXTERNAL, DATABASE), "PostgreSQL is named more than once"),
    "no owner": (dotted("database.dsn", "postgresql://a@b/c"), "database.ownerDsn is not"),
    "verifications without an owner": (
        merged(
            dotted("database.dsn", "postgresql://a@b/c"),
            {"migration": {"enabled": False}, "verification": {"enabled": True}},
        ),
        "database.ownerDsn is not",
    ),
    "an owner without a DSN": (
        merged(DATABASE, dotted("database.ownerDsn", "postgresql://a@b/c")),
        "database.ownerDsn goes with database.dsn",
    ),
    "a store without a name": (
        merged(EXTERNAL, dotted("database.externalSecret.secretStoreRef.name", "")),
        "needs secretStoreRef.name",
    ),
    "a store without the owner's DSN": (
        merged(EXTERNAL, dotted("database.externalSecret", {"ownerDsn": None})),
        "database.externalSecret.ownerDsn.key is not set",
    ),
    "a cluster without a login": (dotted("cnpg.enabled", True), "cnpg.serviceLoginSecret is not set"),
    "as many standbys as instances": (
        merged(CNPG, dotted("cnpg.synchronousStandbys", 3)),
        "more instances than synchronous standbys",
    ),
    "TLS without a certificate": (
        merged(DATABASE, dotted("tls.enabled", True)),
        "set tls.secretName or tls.certManager.enabled",
    ),
    "two certificates": (
        merged(DATABASE, CERT_MANAGER, dotted("tls.secretName", "mine")),
        "both provide the certificate",
    ),
    "a certificate without an issuer": (
        merged(DATABASE, CERT_MANAGER, dotted("tls.certManager.issuerRef.name", "")),
        "needs tls.certManager.issuerRef.name",
    ),
    "a certificate without TLS": (
        merged(DATABASE, CERT_MANAGER, dotted("tls.enabled", False)),
        "set tls.enabled",
    ),
    "TLS by the native transport": (
        merged(DATABASE, CERT_MANAGER, {"settings": {"transport": "native"}}),
        "settings.transport is native, which has no TLS",
    ),
    "clients' certificates without TLS": (
        merged(DATABASE, dotted("tls.clientCa.secretName", "ca")),
        "set tls.enabled",
    ),
    "two autoscalers": (
        merged(DATABASE, KEDA, dotted("autoscaling.enabled", True)),
        "autoscaling.enabled and keda.enabled would fight",
    ),
    "an autoscaler with nothing to go by": (
        merged(DATABASE, {"autoscaling": {"enabled": True, "cpuPercent": 0, "queueOperations": 0}}),
        "nothing to scale on",
    ),
    "fewer than the fewest": (
        merged(DATABASE, {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 3}}),
        "autoscaling.minReplicas is 5 and autoscaling.maxReplicas is 3",
    ),
    "KEDA's fewer than the fewest": (
        merged(DATABASE, KEDA, dotted("keda.minReplicas", 11)),
        "keda.minReplicas is 11 and keda.maxReplicas is 10",
    ),
    "KEDA without Prometheus": (
        merged(DATABASE, dotted("keda.enabled", True)),
        "needs keda.prometheus.serverAddress",
    ),
    "the CPU to go by, and none requested": (
        merged(DATABASE, dotted("autoscaling.enabled", True), dotted("resources", {"requests": None})),
        "needs resources.requests.cpu",
    ),
    "both budgets": (merged(DATABASE, dotted("pdb.minAvailable", 1)), "exclude each other"),
    "an empty budget": (
        merged(DATABASE, dotted("pdb.maxUnavailable", "")),
        "needs pdb.minAvailable or pdb.maxUnavailable",
    ),
    "a rollout that can't move": (
        merged(DATABASE, dotted("rollout", {"maxUnavailable": 0, "maxSurge": "0%"})),
        "no pod could ever be replaced",
    ),
    "too little time to stop": (
        merged(DATABASE, dotted("terminationGracePeriodSeconds", 39)),
        "terminationGracePeriodSeconds is 39: the pod would be killed while it finishes calls; it needs 40",
    ),
    "a longer drain than stop": (
        merged(DATABASE, dotted("settings.drain_seconds", 30)),
        "stopping must take longer than draining",
    ),
    "a batch larger than the queue": (
        merged(DATABASE, dotted("settings", {"batch_ops_max": 1000, "queue_ops_max": 999})),
        "minimum",
    ),
    "more memory requested than the limit": (
        merged(DATABASE, dotted("resources", {"requests": {"memory": "4Gi"}, "limits": {"memory": "2Gi"}})),
        "resources.requests.memory is 4Gi and resources.limits.memory is 2Gi",
    ),
    "more CPU requested than the limit": (
        merged(DATABASE, dotted("resources.limits.cpu", "999m")),
        "resources.requests.cpu is 1 and resources.limits.cpu is 999m",
    ),
    "more requested for the migration than the limit": (
        merged(DATABASE, dotted("migration.resources.limits.memory", "100e6")),
        "migration.resources.requests.memory is 128Mi and migration.resources.limits.memory is 100e6",
    ),
    "more requested for verifications than the limit": (
        merged(DATABASE, dotted("verification.resources.limits.cpu", 0.25)),
        "verification.resources.requests.cpu is 500m and verification.resources.limits.cpu is 0.25",
    ),
    "one port for two": (merged(DATABASE, dotted("metrics.port", 50_051)), "a port each"),
}

UNKNOWN: dict[str, tuple[Mapping[str, Any], str]] = {
    "a misspelt value": (dotted("replicaCount", 3), "replicaCount"),
    "a misspelt value further down": (dotted("metrics.serviceMonitor.enable", True), "enable"),
    "a setting that there is not": (dotted("settings.worker", 3), "worker"),
    "a setting that another value decides": (dotted("settings.port", 1), "port"),
    "a setting out of its bounds": (dotted("settings.workers", 0), "workers"),
    "a setting without its drain": (dotted("settings.drain_seconds", None), "drain_seconds"),
    "a text for a number": (dotted("replicas", "two"), "replicas"),
    "a number for a text": (dotted("image.tag", 1.5), "tag"),
    "a log level that there is not": (dotted("settings.log_level", "loud"), "log_level"),
    "a digest that is none": (dotted("image.digest", "latest"), "digest"),
    "a DSN for something else": (dotted("database.dsn", "mysql://a@b/c"), "dsn"),
    "a policy that there is not": (dotted("topologySpread.zone", "Maybe"), "zone"),
}


@pytest.mark.parametrize("values, message", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_is_refused_with_what_to_change(values: Mapping[str, Any], message: str) -> None:
    assert message in refusal(values)


@pytest.mark.parametrize("values, name", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_the_schema_refuses(values: Mapping[str, Any], name: str) -> None:
    said = refusal(merged(DATABASE, values))

    assert "schema" in said
    assert name in said


def test_the_grace_period_that_is_just_enough_is_taken() -> None:
    assert render(merged(DATABASE, dotted("terminationGracePeriodSeconds", 40)))


def test_a_request_up_to_its_limit_is_taken() -> None:
    equal = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1000m", "memory": 2_147_483_648}}
    assert render(merged(DATABASE, {"resources": equal}))
