"""The counters of all workers add up to what the ledger has, also when workers are killed under load."""

import asyncio
import os
import random
import signal
from functools import partial
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from processor.domain.command import Kind
from processor.domain.outcomes import Outcome, is_recorded
from tests.chains import Chain
from tests.crash import loaded_chain
from tests.load import Load
from tests.server import Server, eventually_true, in_thread, started

KILLS: Final = 2
WORKERS: Final = 2
Counts = dict[tuple[str, ...], float]


@pytest.fixture
async def own_chain(database: str) -> Chain:
    """A chain on a database of its own."""
    return await loaded_chain(database)


@pytest.mark.parametrize("failpoint", ["before_commit", "after_commit"])
async def test_workers_that_die_at_their_commit(own_chain: Chain, failpoint: str) -> None:
    # Connections are renewed, so that clients reach the worker that is new too.
    starting = started(
        own_chain.dsn, workers=WORKERS, connection_age_seconds_max=1, failpoints=f"{failpoint}=kill:0.02"
    )
    async with in_thread(starting) as server:
        load = Load(own_chain, server.address)
        # Not until all of them serve: under load the next one may be dead by then.
        await eventually_true(partial(have_restarted, server, KILLS), timeout_seconds=150)
        await finish(load, server)
        await assert_counted(own_chain, server)


async def test_workers_that_are_killed_from_outside(own_chain: Chain) -> None:
    async with in_thread(started(own_chain.dsn, workers=WORKERS)) as server:
        load = Load(own_chain, server.address)
        for kills in range(1, KILLS + 1):
            await load.progress(100)
            await asyncio.sleep(random.random() / 10)
            os.kill(random.choice(await asyncio.to_thread(server.worker_pids)), signal.SIGKILL)
            await eventually_true(partial(have_died, server, kills))
        await load.progress(100)
        await finish(load, server)
        await assert_counted(own_chain, server)


async def have_restarted(server: Server, times: int) -> bool:
    """Whether workers have been replaced so many times."""
    health = await asyncio.to_thread(server.health)
    return bool(sum(worker["restarts"] for worker in health["workers"]) >= times)


async def have_died(server: Server, deaths: int) -> bool:
    """Whether so many workers have died, and others serve in their places."""
    health = await asyncio.to_thread(server.health)
    workers = health["workers"]
    restarts = sum(worker["restarts"] for worker in workers)
    return restarts >= deaths and all(worker["state"] == "serving" for worker in workers)


async def finish(load: Load, server: Server) -> None:
    """Let the clients end; a worker that dies with its last batch is replaced before anything is compared."""
    await load.finish()
    await eventually_true(partial(have_died, server, 0))


async def assert_counted(chain: Chain, server: Server) -> None:
    rows = await chain.query(
        "SELECT kind, outcome, count(*), sum(earned_points), sum(redeemed_points)"
        " FROM operation WHERE chain_id = $1 GROUP BY kind, outcome"
    )
    recorded: Counts = {
        ("operations", Kind(row[0]).name.lower(), Outcome(row[1]).name): row[2] for row in rows
    }
    recorded["points_issued",] = sum(row[3] for row in rows)
    recorded["points_redeemed",] = sum(row[4] for row in rows)
    assert await asyncio.to_thread(recorded_counters, server) == recorded


def recorded_counters(server: Server) -> Counts:
    """Of the operations that the ledger records, and their points, by what they count."""
    families = text_string_to_metric_families(server.metrics())
    samples = {family.name: family.samples for family in families}
    counted: Counts = {
        ("operations", sample.labels["kind"], sample.labels["outcome"]): sample.value
        for sample in samples["loyalty_operations"]
        if is_recorded(Outcome[sample.labels["outcome"]])
    }
    for name in ("points_issued", "points_redeemed"):
        counted[name,] = samples[f"loyalty_{name}"][0].value
    return counted
