"""The recovery drill: a server is lost, and another one goes on from a moment before that.

`make drill` runs it and prints how long each step took; docs/backup.md has the same steps by hand.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from storage.embedded import EmbeddedPostgres
from tests.chains import Chain, query
from tests.client import Answer, Till
from tests.crash import loaded_chain
from tests.load import some_call
from tests.recovery import Backup, archiving_postgres, recovering_postgres
from tests.requests import Write
from tests.server import serving

BATCH: Final = 50


class Sales:
    """Calls of a till, each kept beside the reply to it."""

    def __init__(self, seed: int) -> None:
        self.calls: list[Write] = []
        self.replies: list[Answer] = []
        self._choice = random.Random(seed)

    async def sell(self, till: Till, batches: int) -> None:
        for _ in range(batches):
            calls = [some_call(self._choice) for _ in range(BATCH)]
            self.replies += await till.batch(calls)
            self.calls += calls

    async def sell_during(self, till: Till, task: "asyncio.Task[None]") -> None:
        await self.sell(till, 2)
        while not task.done():
            await self.sell(till, 1)
        await task


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    tmp_path.chmod(0o711)  # root may have to run the servers as another user
    return Backup(tmp_path / "backup")


@pytest.fixture
def postgres(tmp_path: Path, backup: Backup) -> Iterator[EmbeddedPostgres]:
    with archiving_postgres(tmp_path / "first", backup) as postgres:
        yield postgres


@pytest.fixture
async def chain(postgres: EmbeddedPostgres) -> Chain:
    return await loaded_chain(postgres.dsn())


async def test_a_lost_server_is_recovered_to_a_point_in_time(
    tmp_path: Path, backup: Backup, postgres: EmbeddedPostgres, chain: Chain
) -> None:
    kept, lost = Sales(1), Sales(2)
    with serving(postgres.dsn(), workers=2) as server:
        async with Till(server.address, chain.api_key) as till:
            await back_up_under_load(till, backup, postgres.dsn(), kept)
            target = await present(postgres.dsn())
            await lost.sell(till, 2)
    await backup.finish_wal(postgres.dsn())
    postgres.kill()

    other = recovering_postgres(tmp_path / "second", backup, target, postgres)
    with timed("recovery to the point in time"):
        other.start()
    with other:
        await prove(chain._replace(dsn=other.dsn()), kept, lost)


async def back_up_under_load(till: Till, backup: Backup, dsn: str, sales: Sales) -> None:
    """Sales before, during and after a base backup."""
    await sales.sell(till, 4)
    with timed("base backup under load"):
        await sales.sell_during(till, asyncio.create_task(backup.take_base(dsn)))
    await sales.sell(till, 4)


async def present(dsn: str) -> str:
    """The time by PostgreSQL's clock, as it takes it for a target."""
    [row] = await query(dsn, "SELECT clock_timestamp()::text")
    return str(row[0])


async def prove(chain: Chain, kept: Sales, lost: Sales) -> None:
    """All of `kept` and none of `lost` is in the ledger, sound, and answered as it was."""
    rows = await chain.query("SELECT idempotency_key FROM operation WHERE chain_id = $1")
    assert {row[0] for row in rows} == {call.idempotency_key for call in kept.calls}
    with timed("verify"):
        verify(chain.dsn)
    with serving(chain.dsn, workers=2) as server:
        async with Till(server.address, chain.api_key) as till:
            with timed(f"replay of {len(kept.calls):,} calls"):
                assert await repeat(till, kept) == [reply._replace(replayed=True) for reply in kept.replies]
            # What happened after the point in time never happened: its keys are free.
            assert not any(answer.replayed for answer in await repeat(till, lost))
    verify(chain.dsn)


async def repeat(till: Till, sales: Sales) -> list[Answer]:
    return [answer for batch in batches(sales.calls) for answer in await till.batch(batch)]


def batches(calls: list[Write]) -> Iterator[list[Write]]:
    return (calls[start : start + BATCH] for start in range(0, len(calls), BATCH))


def verify(dsn: str) -> None:
    """As the operator does."""
    command = [sys.executable, "-m", "processor", "verify", "--json", "--dsn", dsn]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["differences_count"], report["unchecked"]) == (0, 0)


@contextmanager
def timed(step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{step}: {time.perf_counter() - started:.1f} s")  # noqa: T201
