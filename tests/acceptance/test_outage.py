"""PostgreSQL away for ten seconds under load, stopped or frozen: told, survived, nothing lost."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from storage.embedded import EmbeddedPostgres
from tests.chains import Chain
from tests.client import Till
from tests.crash import frozen, loaded_chain, own_postgres
from tests.load import Load
from tests.postgres import run
from tests.requests import accrue
from tests.server import Server, eventually_true, in_thread, serving

OUTAGE_SECONDS: Final = 10
DEADLINE_SECONDS: Final = 2
pytestmark = pytest.mark.xdist_group("outage")


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    with own_postgres() as postgres:
        yield postgres


@pytest.fixture
def chain(postgres: EmbeddedPostgres) -> Chain:
    return run(loaded_chain(postgres.dsn()))


@pytest.fixture
def server(postgres: EmbeddedPostgres, chain: Chain) -> Iterator[Server]:
    with serving(postgres.dsn(), workers=2) as server:
        yield server


@contextmanager
def stopped(postgres: EmbeddedPostgres) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


@pytest.mark.parametrize("away", [stopped, frozen])
async def test_an_outage_of_ten_seconds_is_told_survived_and_loses_nothing(
    postgres: EmbeddedPostgres,
    server: Server,
    chain: Chain,
    away: Callable[[EmbeddedPostgres], AbstractContextManager[None]],
) -> None:
    load = Load(chain, server.address)
    await load.progress(200)
    await eventually_true(lambda: is_told(server, serving=True))
    async with in_thread(away(postgres)):
        until = time.monotonic() + OUTAGE_SECONDS
        await eventually_true(lambda: is_told(server, serving=False))
        while time.monotonic() < until:
            await assert_unavailable_within_deadline(server, chain)
    await eventually_true(lambda: is_told(server, serving=True))
    await load.progress(200)
    await load.finish()
    print(f"{len(load.acknowledged)} calls, refused for the time being: {dict(load.transient)}")  # noqa: T201
    await load.prove()


async def is_told(server: Server, *, serving: bool) -> bool:
    """Whether every worker says so, over gRPC and over HTTP."""
    wanted = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
    health = await asyncio.to_thread(server.health)
    states = {worker["state"] == "serving" for worker in health["workers"]}
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        response = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    return states == {serving} and response.status == wanted


async def assert_unavailable_within_deadline(server: Server, chain: Chain) -> None:
    """A call of its own, and so on a connection of its own: to either worker."""
    async with Till(server.address, chain.api_key) as till:
        answer = await till.write(accrue(1_000_000), DEADLINE_SECONDS)
    assert answer.reason in {"STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN"}, answer
    assert answer.status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert answer.retry_delay_seconds is not None
    assert answer.retry_delay_seconds > 0
