"""A real Prometheus answers every query of the dashboards with series of a live server."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import pytest

from tests.alerts.prometheus import Prometheus, watching
from tests.chains import Chain, new_chain
from tests.client import Till
from tests.dashboards.dashboards import Query, queries
from tests.postgres import run
from tests.requests import accrue, adjust, redeem, reverse
from tests.server import Server, eventually, started
from tests.standby import replicated

# What is empty as long as all is well.
EMPTY: Final = {
    "overview: Alerts firing: {{alertname}}",
    "path: Calls under way: {{grpc_method}}",
}
pytestmark = pytest.mark.xdist_group("alerts")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It watches a server with a synchronous standby, to which calls of many kinds are made meanwhile."""
    with (
        replicated() as pair,
        started(pair.dsn(), workers=2, measure_seconds=1) as server,
    ):
        chain = run(member_of_new_chain(pair.dsn()))
        operator_key = run(chain.operator_key())
        with (
            watching(server.http, tmp_path_factory.mktemp("prometheus")) as prometheus,
            calls_meanwhile(chain, operator_key, server),
        ):
            eventually(lambda: prometheus.query("loyalty_workers"))
            yield prometheus


@contextmanager
def calls_meanwhile(chain: Chain, operator_key: str, server: Server) -> Iterator[None]:
    """Of whom nobody calls there are no rates."""
    are_over = Event()

    def call_on() -> None:
        while not are_over.wait(1):
            asyncio.run(make_calls(chain, operator_key, server))

    caller = Thread(target=call_on)
    caller.start()
    try:
        yield
    finally:
        are_over.set()
        caller.join()


async def member_of_new_chain(dsn: str) -> Chain:
    chain = await new_chain(dsn)
    await chain.add_members([1])
    return chain


async def make_calls(chain: Chain, operator_key: str, server: Server) -> None:
    """Applied, repeated, refused, in conflict, undone, several in one, and the operator's."""
    request = accrue(1)
    undone = accrue(1, 30_000)
    other = accrue(1, total_minor=20_000, idempotency_key=request.idempotency_key)
    async with Till(server.address, chain.api_key) as till:
        for call in (request, request, other, other, other, redeem(1, 1_000)):
            await till.write(call)
        await till.batch([accrue(1), redeem(1, 1)])
        await till.write(undone)
        await till.write(reverse(1, undone.idempotency_key))
        spent = redeem(1, 1)
        await till.write(spent)
        await till.write(reverse(1, spent.idempotency_key))
    async with Till(server.address, operator_key) as desk:
        await desk.write(adjust(1, 5))


@pytest.mark.parametrize("query", [each for each in queries() if str(each) not in EMPTY], ids=str)
def test_it_is_answered(prometheus: Prometheus, query: Query) -> None:
    eventually(lambda: prometheus.query(query.filled), describe=lambda: query.filled)
    labels = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
    assert all(labels <= series["metric"].keys() for series in prometheus.query(query.filled))
