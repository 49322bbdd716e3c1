"""kill -9 under load, at named points of a batch: nothing acknowledged is lost, nothing applies twice."""

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

import pytest

from processor.failpoints import NAMES as FAILPOINTS
from storage.embedded import EmbeddedPostgres
from tests.crash import loaded_chain, own_postgres
from tests.load import Load
from tests.server import Server, in_thread, started

# The server is the last: the next one comes in its place.
VICTIMS: Final = ("worker", "postgresql", "server")
CALLS_BETWEEN_CRASHES: Final = 30


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    with own_postgres() as postgres:
        yield postgres


def free_port() -> int:
    """A port for all servers of the test, so that the clients find each of them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(900)
@pytest.mark.xdist_group("crashes")
async def test_crashes_lose_and_repeat_nothing(
    postgres: EmbeddedPostgres, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    kinds_of_crash = itertools.cycle(itertools.product(FAILPOINTS, VICTIMS))
    rounds = itertools.islice(kinds_of_crash, pytestconfig.getoption("--crash-rounds"))
    flag, port = tmp_path / "paused", free_port()
    # Connections are renewed so often that a new worker gets its share of them soon.
    start = partial(started, postgres.dsn(), port=port, workers=2, connection_age_seconds_max=1)
    chain = await loaded_chain(postgres.dsn())
    load = Load(chain, f"127.0.0.1:{port}")
    for failpoint, crashes in itertools.groupby(rounds, key=itemgetter(0)):
        async with in_thread(start(failpoints=f"{failpoint}=pause:{flag}")) as server:
            for _, victim in crashes:
                await Crash(postgres, server, load, flag).kill(victim)
                await load.prove_acknowledged()
    async with in_thread(start()):
        await load.progress(CALLS_BETWEEN_CRASHES)
        await load.finish()
    print(f"{len(load.acknowledged)} calls, sent again after {dict(load.transient)}")  # noqa: T201
    await load.prove()


class Crash:
    """One round: something is killed while a worker pauses at the failpoint, clients being at work.

    A worker pauses when it first comes there; `flag` tells, and it goes on when that file is gone.
    """

    def __init__(self, postgres: EmbeddedPostgres, server: Server, load: Load, flag: Path) -> None:
        self._postgres = postgres
        self._server = server
        self._load = load
        self._flag = flag

    async def kill(self, victim: str) -> None:
        await self._load.until(lambda: bool(self._paused_pid()))
        match victim:
            case "worker":
                os.kill(self._paused_pid(), signal.SIGKILL)
            case "postgresql":
                await asyncio.to_thread(self._postgres.kill)
                await asyncio.to_thread(self._postgres.start)
                await self._recover()
            case "server":
                self._server.kill()
        self._flag.unlink(missing_ok=True)

    def _paused_pid(self) -> int:
        """The process that pauses; 0 if none does."""
        text = self._flag.read_text() if self._flag.exists() else ""
        return int(text.split()[1]) if text.endswith("\n") else 0

    async def _recover(self) -> None:
        """Let the workers go on, until calls get through; then have new ones that will pause again."""
        releasing = asyncio.create_task(self._release_for_ever())
        await self._load.progress(CALLS_BETWEEN_CRASHES)
        releasing.cancel()
        self._server.kill_workers()

    async def _release_for_ever(self) -> None:
        while True:
            self._flag.unlink(missing_ok=True)
            await asyncio.sleep(0.01)
