"""What every test may ask for: a PostgreSQL server, and fresh databases on it.

One server serves the whole run. Under xdist the controller starts it, so that it outlives every worker.
"""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from storage.citus import distribute
from storage.migrate import migrate
from storage.pool import connect, open_pool
from tests.postgres import Server, embedded_server, prepared_server, run
from tests.server import DEFAULTS

TRANSPORTS: Final = ("grpcio", "native")
# What takes long is begun first: begun last, it would leave the other workers of the run with nothing to do.
SLOW_FILES: Final = (
    *("test_benchmarks.py", "test_replay.py", "test_model.py", "test_rolling_restart.py", "test_failover.py"),
    *("test_outage.py", "test_crashes.py", "test_examples.py", "test_image.py", "test_run.py"),
    *("test_counters.py", "test_load_generator.py", "test_locust.py", "test_connections.py", "test_keys.py"),
)

_CONTROLLED: Final = pytest.StashKey[ExitStack]()
_SERVER: Final = pytest.StashKey[Server]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--dsn",
        metavar="URI",
        help="use this PostgreSQL (15 or newer, with a login that may create databases and roles)"
        " instead of the embedded one",
    )
    parser.addoption(
        "--compiled",
        metavar="FOLDER",
        help="run servers and commands from here, where `make compiled` has put the service as it ships,"
        " instead of from the sources",
    )
    parser.addoption(
        "--citus-dsn",
        metavar="URI",
        help="run the acceptance tests on this Citus coordinator: an empty database with the extension,"
        " and a login that owns it and may create roles",
    )
    parser.addoption(
        "--transport",
        choices=("both", *TRANSPORTS),
        default="both",
        help="how servers under test are served; both: by each in turn where the way matters, else by grpcio"
        " (default: both)",
    )
    parser.addoption(
        "--model-operations",
        type=int,
        default=2_000,
        metavar="N",
        help="operations that the model test generates and predicts, at least (default: 2,000)",
    )
    parser.addoption(
        "--crash-rounds",
        type=int,
        default=9,
        metavar="N",
        help="rounds in which a worker, the server or PostgreSQL is killed under load"
        " (default: 9; make test-long: 20)",
    )
    parser.addoption(
        "--connections",
        type=int,
        default=1_000,
        metavar="N",
        help="connections that come and go, after which nothing may be left"
        " (default: 1,000; make test-long: 10,000)",
    )
    parser.addoption(
        "--restart-rounds",
        type=int,
        default=1,
        metavar="N",
        help="rounds in which every worker and then the whole server is restarted under load"
        " (default: 1; make test-long: 20)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--transport") == "native":
        DEFAULTS["transport"] = "native"
    # In the background of a script Ctrl-C is ignored, and would be by all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["PYTHONPATH"] = str(config.rootpath)
    if compiled := config.getoption("--compiled"):
        os.environ["PYTHONPATH"] = f"{Path(compiled).resolve()}{os.pathsep}{config.rootpath}"
        # Else Python would take the sources from the working directory first.
        os.environ["PYTHONSAFEPATH"] = "1"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "transport" in metafunc.fixturenames:
        given = metafunc.config.getoption("--transport")
        metafunc.parametrize("transport", TRANSPORTS if given == "both" else [given], scope="session")


def pytest_report_header(config: pytest.Config) -> list[str]:
    on_citus = (
        "the acceptance tests run on --citus-dsn" if config.getoption("--citus-dsn") else "nothing is run"
    )
    served = config.getoption("--compiled") or "its sources (no --compiled)"
    return [f"citus: {on_citus}", f"service: from {served}"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker of xdist where the server is."""
    config: pytest.Config = node.config  # type: ignore[attr-defined] # xdist is untyped
    if _SERVER not in config.stash:
        config.stash[_CONTROLLED] = ExitStack()
        config.stash[_SERVER] = config.stash[_CONTROLLED].enter_context(_open_server(config))
    server = config.stash[_SERVER]
    node.workerinput["postgres"] = (server.dsn("postgres"), server.template)  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    if _CONTROLLED in config.stash:
        config.stash[_CONTROLLED].close()


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[Server]:
    """The server of this run."""
    if hasattr(pytestconfig, "workerinput"):
        yield Server(*pytestconfig.workerinput["postgres"])
    else:
        with _open_server(pytestconfig) as server:
            yield server


@pytest.fixture(scope="session")
def citus_dsn(pytestconfig: pytest.Config) -> str:
    """The database of --citus-dsn, migrated and distributed; without one, the test is skipped."""
    dsn: str | None = pytestconfig.getoption("--citus-dsn")
    if dsn is None:
        pytest.skip("not run on Citus: no --citus-dsn")
    run(migrate(dsn))
    run(distribute(dsn))
    return dsn


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """The URI of a fresh, migrated database; the login owns it."""
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to `database` as its owner, whom no row-level security holds."""
    connection = await connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """The service's pool on `database`, in the role that owns nothing."""
    async with await open_pool(database, connections=2, statement_timeout_seconds=10) as opened:
        yield opened


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[str]:
    """The URI of a fresh database with nothing in it."""
    with postgres.database(template="template0") as dsn:
        yield dsn


def _open_server(config: pytest.Config) -> AbstractContextManager[Server]:
    dsn = config.getoption("--dsn")
    return prepared_server(dsn) if dsn else embedded_server()
