"""With the roles that the chart tells of, the service sees how a real standby follows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from storage.measures import Standbys, standbys
from storage.migrate import migrate
from storage.pool import open_pool
from tests.chart.chart import CNPG, find, render
from tests.chart.test_database import as_login, readme_statements
from tests.postgres import run
from tests.standby import Pair, query, replicated

OWNER: Final = "loyalty_owner"
PASSWORD: Final = "x"  # noqa: S105 (of a server that ends with the test)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with replicated() as pair:
        yield pair


def of_the_readme() -> list[str]:
    return readme_statements({}, PASSWORD)


def of_the_cluster() -> list[str]:
    """What the operator runs: its own statements, and then the chart's."""
    initdb = find(render(CNPG), "Cluster")["spec"]["bootstrap"]["initdb"]
    own = [
        f"CREATE ROLE {initdb['owner']} LOGIN PASSWORD '{PASSWORD}'",
        f"CREATE DATABASE {initdb['database']} OWNER {initdb['owner']}",
    ]
    # The pair has been migrated, and so has the role of the whole server.
    return own + [each for each in initdb["postInitApplicationSQL"] if not each.startswith("CREATE ROLE")]


@contextmanager
def made(pair: Pair, statements: list[str]) -> Iterator[str]:
    """The DSN of the owner, migrated."""
    for statement in statements:
        query(pair.primary, statement)
    dsn = as_login(pair.dsn(), OWNER, PASSWORD).replace("/postgres", "/loyalty")
    run(migrate(dsn))
    yield dsn
    query(pair.primary, "DROP DATABASE loyalty WITH (FORCE)")
    for role in (OWNER, "loyalty"):
        query(pair.primary, f"DROP ROLE IF EXISTS {role}")


async def seen(dsn: str) -> Standbys:
    async with await open_pool(dsn, connections=1, statement_timeout_seconds=10) as pool:
        return await standbys(pool)


@pytest.mark.parametrize("statements", [of_the_readme(), of_the_cluster()], ids=["README", "CloudNativePG"])
def test_the_owner_sees_that_the_standby_is_synchronous(pair: Pair, statements: list[str]) -> None:
    with made(pair, statements) as dsn:
        found = run(seen(dsn))

    assert found.sync_wanted == 1
    assert found.streaming
    assert [standby.is_sync for standby in found.streaming] == [True]
