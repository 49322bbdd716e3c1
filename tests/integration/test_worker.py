"""The life of real workers on a real PostgreSQL: start, outage, metrics and drain."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from processor.app.life import _until_told_or_broken
from storage.migrate import migrate, migrations
from storage.schema import SchemaUnsuitable, check_schema
from tests.postgres import Server as Postgres
from tests.postgres import run
from tests.server import COMMAND, Server, eventually, launched

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING

Start = Callable[..., Server]


@pytest.fixture
def start(database: str) -> Iterator[Start]:
    """Start the service on `database`."""
    with ExitStack() as stack:

        def start_one(**options: object) -> Server:
            return stack.enter_context(launched(COMMAND, dsn=database, **options))

        yield start_one


def name_of(database: str) -> str:
    return urlsplit(database).path.removeprefix("/")


def health(address: str) -> int:
    """What gRPC's health service says."""
    with grpc.insecure_channel(address) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        status: int = reply.status
        return status


def test_workers_serve_and_measure_and_stop_in_order(start: Start) -> None:
    server = start(workers=2, drain_seconds=0)
    assert health(server.address) == SERVING
    eventually(lambda: server.metric("loyalty_lanes") == 4)
    eventually(lambda: server.metric("loyalty_partition_runway_seconds") > 60 * 86_400)
    assert server.metric("loyalty_pool_connections") >= 2
    assert server.stop("SIGTERM") == 0
    assert [event["cause"] for event in server.events("worker stopped")] == ["exit status 0"] * 2


def test_a_draining_worker_says_so_before_it_stops_answering(start: Start) -> None:
    server = start(drain_seconds=600, stop_seconds=3_600)
    address = server.address
    server.send("SIGTERM")
    eventually(lambda: server.workers()[0]["state"] == "draining")
    eventually(lambda: health(address) == NOT_SERVING)


def test_health_follows_an_outage_of_postgresql(start: Start, postgres: Postgres, database: str) -> None:
    server = start()
    address = server.address
    (pid,) = server.pids()
    postgres.cut_off(name_of(database))
    eventually(lambda: server.get("/healthz")[0] == 503)
    eventually(lambda: health(address) == NOT_SERVING)
    postgres.let_in(name_of(database))
    eventually(lambda: server.get("/healthz")[0] == 200)
    eventually(lambda: health(address) == SERVING)
    assert server.pids() == [pid]


def test_a_worker_waits_for_postgresql_to_be_there(start: Start, postgres: Postgres, database: str) -> None:
    postgres.cut_off(name_of(database))
    server = start(drain_seconds=0)
    eventually(lambda: server.events("waiting for PostgreSQL"))
    assert server.get("/healthz")[0] == 503
    postgres.let_in(name_of(database))
    server.wait_until_serving()
    assert server.workers()[0]["restarts"] == 0
    assert server.stop("SIGTERM") == 0


def test_a_worker_that_waits_for_postgresql_stops_when_told(
    start: Start, postgres: Postgres, database: str
) -> None:
    postgres.cut_off(name_of(database))
    server = start()
    eventually(lambda: server.events("waiting for PostgreSQL"))
    assert server.stop("SIGTERM") == 0


async def test_a_part_that_breaks_ends_the_worker() -> None:
    async def break_down() -> None:
        raise RuntimeError("broken")

    with capture_logs() as logs:
        part = asyncio.create_task(break_down(), name="part")
        assert not await _until_told_or_broken(asyncio.Event(), [part])
    assert [(entry["task"], str(entry["exc_info"])) for entry in logs] == [("part", "broken")]


# --- what the database must have -------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 4, 10])
def test_a_worker_waits_until_the_database_is_migrated(empty_database: str, version: int) -> None:
    if version:
        run(migrate(empty_database, to=version))
    with launched(COMMAND, dsn=empty_database, drain_seconds=0) as server:
        (told,) = eventually(lambda: server.events("waiting for PostgreSQL"))
        assert told["reason"] == (
            f"the database is at migration {version} and this program needs {migrations()[-1].version}:"
            " run loyalty-processor migrate"
        )
        assert server.get("/healthz")[0] == 503
        run(migrate(empty_database))
        server.wait_until_serving()
        assert len(server.events("waiting for PostgreSQL")) == 1
        assert server.stop("SIGTERM") == 0


def test_a_login_that_may_not_read_the_history_is_told_of_its_age(
    postgres: Postgres, empty_database: str
) -> None:
    run(migrate(empty_database, to=10))
    parts = urlsplit(empty_database)
    login, password = f"login_{uuid4().hex}", parts.password or ""
    postgres.execute(f"CREATE ROLE {login} LOGIN NOINHERIT PASSWORD '{password}' IN ROLE loyalty_service")
    try:
        host = parts.netloc.rpartition("@")[2]
        dsn = parts._replace(netloc=f"{login}:{password}@{host}").geturl()
        with pytest.raises(
            SchemaUnsuitable, match=r"^the database is at an older migration and this program"
        ):
            run(check_schema(dsn))
        run(migrate(empty_database))
        assert not run(check_schema(dsn)).is_newer
    finally:
        postgres.execute(f"DROP ROLE {login}")


def test_a_worker_serves_on_a_newer_schema_and_says_so(start: Start, database: str) -> None:
    Postgres(database, "").execute("INSERT INTO schema_migration VALUES (99, 'future', '')")
    server = start(drain_seconds=0)
    server.wait_until_serving()
    (told,) = server.events("the database is of a newer program, which is well only during an upgrade")
    assert (told["applied_version"], told["known_version"]) == (99, migrations()[-1].version)
    assert server.stop("SIGTERM") == 0


def test_a_worker_does_not_serve_on_another_schema(start: Start, database: str) -> None:
    Postgres(database, "").execute("UPDATE schema_migration SET sha256 = 'other' WHERE version = 3")
    server = start()
    (told,) = eventually(lambda: server.events("waiting for PostgreSQL"))
    assert "migration 0003_accounts is not the file that was applied" in told["reason"]


@pytest.mark.parametrize(
    "taking, giving, lacking",
    [
        (
            "REVOKE INSERT ON {home} FROM loyalty_service",
            "GRANT INSERT ON {home} TO loyalty_service",
            "INSERT ON {home}",
        ),
        (
            "ALTER FUNCTION enter_home RENAME TO no_home",
            "ALTER FUNCTION no_home RENAME TO enter_home",
            "EXECUTE ON enter_home(integer, text)",
        ),
        (
            "REVOKE UPDATE ON account FROM loyalty_service",
            "GRANT UPDATE ON account TO loyalty_service",
            "UPDATE ON account",
        ),
    ],
)
def test_health_asks_for_the_rights_of_the_service(
    start: Start, database: str, taking: str, giving: str, lacking: str
) -> None:
    home = f"operation_{datetime.now(UTC):%Y%m01}"
    server = start()
    address = server.address
    eventually(lambda: server.metric("loyalty_partition_runway_seconds") > 0)
    Postgres(database, "").execute(taking.format(home=home))
    eventually(lambda: health(address) == NOT_SERVING)
    (told,) = server.events("PostgreSQL is not available")
    assert told["reason"] == f"the role loyalty_service lacks {lacking.format(home=home)}"
    Postgres(database, "").execute(giving.format(home=home))
    eventually(lambda: health(address) == SERVING)
