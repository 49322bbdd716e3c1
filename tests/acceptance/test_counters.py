"""The counters of all workers add up to what the ledger has, also when workers are killed under load."""

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from functools import partial
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from processor.domain.command import Kind
from processor.domain.outcomes import Outcome, is_recorded
from tests.chains import query
from tests.crash import loaded_chain
from tests.load import Load
from tests.server import Server, eventually_true, in_thread, started

KILLS: Final = 2
WORKERS: Final = 2
Counts = dict[tuple[str, ...], float]


@pytest.mark.parametrize(
    "failpoint, chains",
    [("before_commit", 1), ("after_commit", 1), ("before_commit", 5), ("after_commit", 5)],
)
async def test_workers_that_die_at_their_commit(database: str, failpoint: str, chains: int) -> None:
    own_chains = [await loaded_chain(database) for _ in range(chains)]
    # Connections are renewed, so that clients reach the worker that is new too.
    starting = started(
        database, workers=WORKERS, connection_age_seconds_max=1, failpoints=f"{failpoint}=kill:0.02"
    )
    async with in_thread(starting) as server:
        loads = [Load(chain, server.address, clients=max(2, 8 // chains)) for chain in own_chains]
        # Not until all of them serve: under load the next one may be dead by then.
        await eventually_true(partial(have_restarted, server, KILLS), timeout_seconds=150)
        await finish(loads, server)
        await assert_counted(database, server)
    for load in loads:
        await load.prove()


async def test_workers_that_are_killed_from_outside(database: str) -> None:
    async with in_thread(started(database, workers=WORKERS)) as server:
        load = Load(await loaded_chain(database), server.address)
        for kills in range(1, KILLS + 1):
            await load.progress(100)
            await asyncio.sleep(random.random() / 10)
            os.kill(random.choice(await asyncio.to_thread(server.worker_pids)), signal.SIGKILL)
            await eventually_true(partial(have_died, server, kills))
        await load.progress(100)
        await finish([load], server)
        await assert_counted(database, server)


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


async def finish(loads: Sequence[Load], server: Server) -> None:
    """Let the clients end; a worker that dies with its last batch is replaced before anything is compared."""
    for load in loads:
        await load.finish()
    await eventually_true(partial(have_died, server, 0))


async def assert_counted(dsn: str, server: Server) -> None:
    rows = await query(
        dsn,
        "SELECT name, kind, outcome, count(*), sum(earned_points), sum(redeemed_points)"
        " FROM operation INNER JOIN chain USING (chain_id) GROUP BY name, kind, outcome",
    )
    recorded: Counts = {
        ("operations", name, Kind(kind).name.lower(), Outcome(outcome).name): count
        for name, kind, outcome, count, *_ in rows
    }
    for name in {row[0] for row in rows}:
        recorded["points_issued", name] = sum(row[4] for row in rows if row[0] == name)
        recorded["points_redeemed", name] = sum(row[5] for row in rows if row[0] == name)
    assert await asyncio.to_thread(recorded_counters, server) == recorded


def recorded_counters(server: Server) -> Counts:
    """Of the operations that the ledger records, and their points, by what they count and for whom."""
    families = text_string_to_metric_families(server.metrics())
    samples = {family.name: family.samples for family in families}
    counted: Counts = {
        (
            "operations",
            sample.labels["chain"],
            sample.labels["kind"],
            sample.labels["outcome"],
        ): sample.value
        for sample in samples["loyalty_operations"]
        if is_recorded(Outcome[sample.labels["outcome"]])
    }
    for name in ("points_issued", "points_redeemed"):
        for sample in samples[f"loyalty_{name}"]:
            counted[name, sample.labels["chain"]] = sample.value
    return counted
