"""kill -9 under load, at named points of a batch: nothing acknowledged is lost, nothing applies twice."""

import asyncio
import itertools
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import pytest

from processor.failpoints import NAMES as FAILPOINTS
from storage.embedded import EmbeddedPostgres
from tests.chains import Chain
from tests.client import Answer
from tests.crash import loaded_chain, own_postgres
from tests.load import Load
from tests.server import Server, eventually_true, in_thread, started

VICTIMS: Final = ("worker", "server", "postgresql")
# Deaths come often enough to wait for, and seldom enough that calls get through.
WORKER_DEATH_PROBABILITY: Final = 0.04
pytestmark = pytest.mark.xdist_group("crashes")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "victim" in metafunc.fixturenames:
        kinds_of_crash = itertools.cycle(itertools.product(FAILPOINTS, VICTIMS))
        rounds = list(itertools.islice(kinds_of_crash, metafunc.config.getoption("--crash-rounds")))
        ids = [f"{number}-{victim}-{failpoint}" for number, (failpoint, victim) in enumerate(rounds, 1)]
        metafunc.parametrize("failpoint, victim", rounds, ids=ids)


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    with own_postgres() as postgres:
        yield postgres


@pytest.fixture(scope="module")
def chain(postgres: EmbeddedPostgres) -> Chain:
    return loaded_chain(postgres.dsn())


@pytest.fixture(scope="module")
def acknowledged() -> dict[str, Answer]:
    """Every reply that the clients got in any round."""
    return {}


@pytest.fixture(scope="module")
def port() -> int:
    """A port that the next server of a round gets again, so that the clients find it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def scene(
    postgres: EmbeddedPostgres,
    chain: Chain,
    acknowledged: dict[str, Answer],
    port: int,
    tmp_path: Path,
    failpoint: str,
) -> "Scene":
    return Scene(postgres, chain, acknowledged, port, failpoint, tmp_path / "paused")


async def test_a_crash_loses_and_repeats_nothing(scene: "Scene", victim: str) -> None:
    crashes = {"worker": scene.kill_workers, "server": scene.kill_server, "postgresql": scene.kill_postgresql}
    load = await crashes[victim]()
    print(f"{len(load.acknowledged)} calls so far; in this round sent again after {dict(load.transient)}")  # noqa: T201
    await load.prove()


class Scene:
    """One round: clients at work, and a crash when a worker has come to the failpoint."""

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        chain: Chain,
        acknowledged: dict[str, Answer],
        port: int,
        failpoint: str,
        flag: Path,
    ) -> None:
        """A worker that pauses there makes the file `flag`, and goes on when it is gone."""
        self._postgres = postgres
        self._chain = chain
        self._acknowledged = acknowledged
        self._port = port
        self._failpoint = failpoint
        self._flag = flag

    async def kill_workers(self) -> Load:
        """By their own hand, now and then, until three have died."""
        async with self._server(f"{self._failpoint}=kill:{WORKER_DEATH_PROBABILITY}") as server:
            load = self._load(server)
            await eventually_true(lambda: has_restarted_workers(server, 3))
            await load.progress(50)
            await load.finish()
        return load

    async def kill_server(self) -> Load:
        """The supervisor and all workers at once; another server comes in its place."""
        async with self._server(f"{self._failpoint}=pause:{self._flag}") as server:
            load = self._load(server)
            await load.until(self._flag.exists)
            server.kill()
        async with self._server():
            await load.progress(50)
            await load.finish()
        return load

    async def kill_postgresql(self) -> Load:
        """While a worker pauses; it goes on when PostgreSQL is there again."""
        async with self._server(f"{self._failpoint}=pause:{self._flag}") as server:
            load = self._load(server)
            await load.until(self._flag.exists)
            await asyncio.to_thread(self._postgres.kill)
            await asyncio.to_thread(self._postgres.start)
            releasing = asyncio.create_task(self._release_for_ever())
            await load.progress(50)
            await load.finish()
            releasing.cancel()
        return load

    def _server(self, failpoints: str = "") -> AbstractAsyncContextManager[Server]:
        dsn = self._postgres.dsn()
        return in_thread(started(dsn, port=self._port, workers=2, failpoints=failpoints))

    def _load(self, server: Server) -> Load:
        return Load(self._chain, server.address, self._acknowledged)

    async def _release_for_ever(self) -> None:
        """The second worker may come to the failpoint at any time."""
        while True:
            self._flag.unlink(missing_ok=True)
            await asyncio.sleep(0.01)


async def has_restarted_workers(server: Server, count: int) -> bool:
    health = await asyncio.to_thread(server.health)
    return bool(sum(worker["restarts"] for worker in health["workers"]) >= count)
