"""The rules over what a real server exports: a real Prometheus evaluates them, and real faults are told."""

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from storage.verify import verify
from tests.alerts.prometheus import Prometheus, watching
from tests.alerts.rules import metric_names, recorded_names, rules
from tests.alerts.runbooks import OBJECTIVES, PAGES, blocks
from tests.chains import Chain, new_chain
from tests.client import Till
from tests.postgres import run
from tests.requests import accrue
from tests.server import Server, eventually, started
from tests.standby import Pair, replicated

# Of Prometheus itself.
OTHERS: Final = {"up"}
NOT_CLEAN: Final = {"LoyaltyVerifyFailed"}
NO_STANDBY: Final = {"LoyaltySyncStandbyLost"}
UNKNOWN: Final = {"LoyaltyOutcomeUnknown"}
NO_DATABASE: Final = {"LoyaltyDatabaseDown", "LoyaltyNoWorkerServing"}
NO_SERVER: Final = {"LoyaltyTargetDown", "LoyaltyAbsent"}
pytestmark = pytest.mark.xdist_group("alerts")


class Watched(NamedTuple):
    """A server on a PostgreSQL with a synchronous standby, and the Prometheus that watches it."""

    pair: Pair
    server: Server
    prometheus: Prometheus
    chain: Chain


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with (
        replicated() as pair,
        started(
            pair.dsn(), workers=2, measure_seconds=1, statement_timeout_seconds=0.5, retry_seconds=1
        ) as server,
    ):
        chain = run(member_of_new_chain(pair.dsn()))
        run(make_calls(chain, server))
        with watching(server.http, tmp_path_factory.mktemp("prometheus")) as prometheus:
            yield Watched(pair, server, prometheus, chain)
        pair.primary.kill()


async def member_of_new_chain(dsn: str) -> Chain:
    chain = await new_chain(dsn)
    await chain.add_members([1])
    return chain


async def make_calls(chain: Chain, server: Server) -> None:
    """One of each that a metric of its own counts: applied, repeated, and in conflict."""
    request = accrue(1)
    other = accrue(1, total_minor=20_000, idempotency_key=request.idempotency_key)
    async with Till(server.address, chain.api_key) as till:
        for _ in range(2):
            assert not (await till.write(request)).reason
        assert (await till.write(other)).reason == "IDEMPOTENCY_KEY_REUSED"


async def make_doubtful_call(chain: Chain, server: Server) -> None:
    """One whose COMMIT waits for a standby that is gone."""
    async with Till(server.address, chain.api_key) as till:
        assert (await till.write(accrue(1))).reason == "OUTCOME_UNKNOWN"


def exported_names(server: Server) -> set[str]:
    families = text_string_to_metric_families(server.metrics())
    return {sample.name for family in families for sample in family.samples}


def named_metrics() -> set[str]:
    """What the rules and the queries of the pages select."""
    queries = [query for page in [*PAGES, OBJECTIVES] for query in blocks(page, "promql")]
    expressions = [*queries, *(rule["expr"] for rule in rules())]
    return set().union(*map(metric_names, expressions)) - recorded_names()


def test_a_server_exports_every_metric_that_rules_and_runbooks_name(watched: Watched) -> None:
    missing: set[str] = set()

    def is_exported() -> bool:
        missing.clear()
        missing.update(named_metrics() - OTHERS - exported_names(watched.server))
        return not missing

    # Some are measured from time to time.
    eventually(is_exported, describe=lambda: missing)


def test_a_prometheus_evaluates_every_rule_without_an_error(watched: Watched) -> None:
    prometheus = watched.prometheus
    # Data has come through all recording rules.
    eventually(lambda: prometheus.query('loyalty:slo_bad:ratio{slo="operations", window="3d"}'))

    eventually(lambda: all(rule["health"] != "unknown" for rule in prometheus.rules()))

    assert len(prometheus.rules()) == len(rules())
    assert [rule for rule in prometheus.rules() if rule["health"] != "ok" or rule.get("lastError")] == []


def test_a_changed_balance_is_told_once_somebody_has_verified(watched: Watched) -> None:
    pair, server, prometheus, chain = watched
    assert server.metric("loyalty_verify_last_run_timestamp_seconds") == 0
    run(chain.query("UPDATE account SET balance_points = balance_points + 1 WHERE chain_id = $1"))

    report = run(verify(pair.dsn()))

    assert report.differences_count == 1
    eventually(lambda: prometheus.active_alerts() >= NOT_CLEAN, describe=prometheus.active_alerts)
    assert server.metric("loyalty_verify_operations") == report.operations == 1
    assert server.metric("loyalty_verify_last_run_timestamp_seconds") == pytest.approx(time.time(), abs=600)


def test_real_faults_are_told(watched: Watched) -> None:
    """The last test of the file: one after another, everything is lost."""
    pair, server, prometheus, chain = watched
    eventually(lambda: prometheus.query("loyalty_database_up == 1 and loyalty_sync_standbys == 1"))
    faults = {*NO_STANDBY, *UNKNOWN, *NO_DATABASE, *NO_SERVER}
    # The first failure of a chain is seen, since its counter has been there before.
    eventually(lambda: prometheus.query('loyalty_operations_total{outcome="OUTCOME_UNKNOWN"} == 0'))
    eventually(lambda: not prometheus.active_alerts() & faults, describe=prometheus.active_alerts)

    pair.standby.kill()
    eventually(lambda: prometheus.active_alerts() >= NO_STANDBY, describe=prometheus.active_alerts)
    eventually(lambda: "loyalty_replica_lag_seconds" not in exported_names(server), describe=server.metrics)

    run(make_doubtful_call(chain, server))
    eventually(lambda: server.metric("loyalty_batches_abandoned_total", outcome="OUTCOME_UNKNOWN") == 1)
    eventually(lambda: prometheus.active_alerts() >= UNKNOWN, describe=prometheus.active_alerts)

    pair.primary.kill()
    eventually(lambda: prometheus.active_alerts() >= NO_DATABASE, describe=prometheus.active_alerts)

    server.kill()
    eventually(lambda: prometheus.active_alerts() >= NO_SERVER, describe=prometheus.active_alerts)
