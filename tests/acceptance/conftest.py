"""What the acceptance tests share: a server of two workers and its database; each test has its own chain."""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from tests.chains import Chain, new_chain
from tests.client import Till
from tests.postgres import Server as Postgres
from tests.postgres import run
from tests.server import Server, serving

MEMBERS: Final = range(1, 1_001)


@pytest.fixture(scope="session")
def server_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database of `server`: that of --citus-dsn, if given."""
    if request.config.getoption("--citus-dsn"):
        yield request.getfixturevalue("citus_dsn")
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def server(server_dsn: str, transport: str, pytestconfig: pytest.Config) -> Iterator[Server]:
    """Two workers; tests that ask for it belong to the xdist group `server`, so that they share it."""
    citus_settings = {"batch_chains_max": 1} if pytestconfig.getoption("--citus-dsn") else {}
    with serving(server_dsn, workers=2, transport=transport, **citus_settings) as server:
        yield server


@pytest.fixture
def chain(server_dsn: str) -> Chain:
    """A chain with the default program, and MEMBERS with a card `card-N` each."""
    chain = run(new_chain(server_dsn))
    run(chain.add_members(MEMBERS, {f"card-{member_id}": member_id for member_id in MEMBERS}))
    return chain


@pytest.fixture
async def till(server: Server, chain: Chain) -> AsyncIterator[Till]:
    """A client of `chain` with a few connections, so that both workers serve it."""
    async with Till(server.address, chain.api_key, connections=4) as till:
        yield till


@pytest.fixture
async def wide_till(server: Server, chain: Chain) -> AsyncIterator[Till]:
    """A client whose connections are spread over both workers, however many that takes."""
    for connections in itertools.count(4, 4):
        async with Till(server.address, chain.api_key, connections) as till:
            for channel in till.channels:
                await channel.channel_ready()
            if all(server.connections().values()):
                yield till
                return
        assert connections < 64
