"""A live server exports what the catalogue says: names, types, labels and HELP texts."""

import asyncio
from collections.abc import Iterator
from itertools import product

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from monitoring.catalogue import ABSENT_UNTIL, CataloguedMetric, catalogue
from processor.cli.demo import CARDS, send_burst
from processor.domain.command import CALLED_KINDS
from processor.metrics import UNRECORDED
from storage.directory import create_chain, create_key
from storage.members import Member, add_members
from storage.owner import owner_connection
from tests.chains import new_chain
from tests.postgres import run
from tests.server import Server, eventually, serving

HISTOGRAM_LABELS = {"le"}
NOTHING = Metric("nothing", "", "counter")
WITHOUT_A_STANDBY = {"loyalty_replica_lag_seconds"}


async def new_demo_chain(dsn: str) -> str:
    """A chain that the demo's burst may be sent to; returns an API key."""
    async with owner_connection(dsn) as connection:
        chain_id = await create_chain(connection, "demo")
        await add_members(connection, chain_id, [Member(*pair) for pair in enumerate(CARDS, start=1)])
        return await create_key(connection, chain_id, "demo")


@pytest.fixture
def server(database: str) -> Iterator[Server]:
    with serving(database, workers=2, measure_seconds=1) as server:
        yield server


def exported(server: Server) -> dict[str, Metric]:
    """The families that have samples, by the catalogue's names."""
    families = [family for family in text_string_to_metric_families(server.metrics()) if family.samples]
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family for family in families
    }


def as_catalogued(name: str, family: Metric) -> CataloguedMetric:
    labels = {label for sample in family.samples for label in sample.labels} - HISTOGRAM_LABELS
    return CataloguedMetric(name, family.type, tuple(sorted(labels)), family.documentation)


def test_every_catalogued_metric_is_exported_and_no_other(database: str, server: Server) -> None:
    wanted = {metric.name: metric._replace(labels=tuple(sorted(metric.labels))) for metric in catalogue()}
    eventually(lambda: wanted.keys() - ABSENT_UNTIL.keys() <= exported(server).keys())

    calls = asyncio.run(send_burst(server.address, run(new_demo_chain(database))))
    assert [call.surprise for call in calls if call.surprise] == []
    eventually(
        lambda: wanted.keys() - WITHOUT_A_STANDBY == exported(server).keys(),
        describe=lambda: wanted.keys() ^ exported(server).keys(),
    )
    for name, family in exported(server).items():
        assert as_catalogued(name, family) == wanted[name]
        assert {sample.name for sample in family.samples} == wanted[name].series


def test_the_failures_of_a_chain_are_counted_from_0_before_its_first_call(
    database: str, server: Server
) -> None:
    chain = run(new_chain(database))
    expected = {(kind.name.lower(), outcome.name) for kind, outcome in product(CALLED_KINDS, UNRECORDED)}

    def found() -> dict[tuple[str, str], float]:
        samples = exported(server).get("loyalty_operations_total", NOTHING).samples
        of_chain = [sample for sample in samples if sample.labels["chain"] == chain.name]
        return {(sample.labels["kind"], sample.labels["outcome"]): sample.value for sample in of_chain}

    eventually(lambda: found() == dict.fromkeys(expected, 0), describe=found)
