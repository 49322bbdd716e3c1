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
from prometheus_client.samples import Sample

from loyalty.v1.transaction_service_pb2 import OperationRequest
from processor.domain.command import Kind
from processor.domain.outcomes import Outcome, is_recorded
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from processor.labels import UNKNOWN
from tests.chains import Chain, new_chain, query
from tests.client import Till
from tests.crash import loaded_chain
from tests.load import Load
from tests.requests import (
    DAY_SECONDS,
    Write,
    accrue,
    adjust,
    ago,
    capture,
    checkout,
    hold,
    redeem,
    reverse,
    void,
)
from tests.server import Server, eventually_true, in_thread, serving, started

KILLS: Final = 2
WORKERS: Final = 2
Counts = dict[tuple[str, ...], float]
EXPIRING: Final[ProgramDocument] = {**DEFAULT_PROGRAM, "lots": {"expiry": {"after_days": 1}}}


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
    for name, kind, outcome, _, issued, redeemed in rows:
        if outcome == Outcome.APPLIED and issued:
            recorded["points_issued", name, Kind(kind).name.lower()] = issued
        if outcome == Outcome.APPLIED and redeemed and kind == Kind.EXPIRE:
            recorded["points_expired", name] = redeemed
        elif outcome == Outcome.APPLIED and redeemed:
            recorded["points_redeemed", name, Kind(kind).name.lower()] = redeemed
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
    for name in ("points_issued", "points_redeemed", "points_expired"):
        for sample in samples[f"loyalty_{name}"]:
            if sample.value:
                counted[name, *sample.labels.values()] = sample.value
    return counted


async def test_every_kind_of_operation_is_counted_as_the_ledger_has_it(database: str) -> None:
    """Points of sales apart from those that undoings give and take, and those that time takes."""
    chain = await new_chain(database, document=EXPIRING)
    await chain.add_members(range(1, 10))
    sale, spent, order, other_order = accrue(1, 70_000), redeem(1, 2), hold(1, 3), hold(1, 1)
    earlier = OperationRequest(accrue=accrue(2, 40_000, occurred_at=ago(3 * DAY_SECONDS)), offline=True)
    async with (
        in_thread(serving(database, workers=WORKERS, due_interval_seconds=0.2)) as server,
        Till(server.address, chain.api_key, connections=4) as till,
        Till(server.address, await chain.operator_key()) as desk,
    ):
        for request in (
            sale,
            spent,
            order,
            other_order,
            capture(1, order.idempotency_key, points=2),
            void(1, other_order.idempotency_key),
            reverse(1, spent.idempotency_key),
            checkout(1, 1, 90_000),
            reverse(1, sale.idempotency_key),
        ):
            assert not (await till.write(request)).reason, request
        assert [answer.reason for answer in await till.batch([earlier])] == [""]
        assert not (await desk.write(adjust(3, 5))).reason
        await eventually_true(partial(has_expired, chain))
        await assert_counted(database, server)
    kinds = await chain.query("SELECT DISTINCT kind FROM operation WHERE chain_id = $1")
    assert {Kind(kind) for (kind,) in kinds} == set(Kind) - {Kind.RETURN, Kind.ACTIVATE, Kind.RELEASE}


async def has_expired(chain: Chain) -> bool:
    """Whether the points of the sale of three days ago are gone."""
    rows = await chain.query("SELECT 1 FROM operation WHERE chain_id = $1 AND kind = $2", Kind.EXPIRE)
    return bool(rows)


async def test_every_refusal_is_counted_by_its_reason(database: str) -> None:
    """However it came: as a call of its own or in a batch or stream, recorded or not, known or a stranger."""
    chain = await new_chain(database)
    await chain.add_members([1])
    used, poor, invalid = accrue(1), redeem(1, 5), accrue(1, store_id="")
    conflicts: list[Write] = [accrue(1, 7, idempotency_key=used.idempotency_key) for _ in range(3)]
    conflicts += [redeem(1, 1, idempotency_key=used.idempotency_key) for _ in range(3)]
    async with (
        in_thread(serving(database, workers=WORKERS)) as server,
        Till(server.address, chain.api_key) as till,
        Till(server.address, "lp_nobody") as stranger,
    ):
        assert not (await till.write(used)).reason
        for request in (poor, poor, invalid, accrue(9)):
            assert (await till.write(request)).reason
        await till.batch([invalid, poor, accrue(9), accrue(1), *conflicts])
        await till.stream([[invalid, accrue(1)], [accrue(9)]])
        assert (await till.get_operation("unknown")).reason
        assert (await stranger.write(used)).reason == "API_KEY_INVALID"
        counted = await asyncio.to_thread(refusals, server)
        conflicts_by_terminal = await asyncio.to_thread(samples_of, server, "loyalty_key_conflicts")
    assert counted == {
        (chain.name, "Redeem", "INSUFFICIENT_POINTS"): 2,
        (chain.name, "Accrue", "INVALID_REQUEST"): 1,
        (chain.name, "Accrue", "MEMBER_NOT_FOUND"): 1,
        (chain.name, "ProcessBatch", "INVALID_REQUEST"): 1,
        (chain.name, "ProcessBatch", "INSUFFICIENT_POINTS"): 1,
        (chain.name, "ProcessBatch", "MEMBER_NOT_FOUND"): 1,
        (chain.name, "ProcessBatch", "IDEMPOTENCY_KEY_REUSED"): 6,
        (chain.name, "ProcessStream", "INVALID_REQUEST"): 1,
        (chain.name, "ProcessStream", "MEMBER_NOT_FOUND"): 1,
        (chain.name, "GetOperation", "OPERATION_NOT_FOUND"): 1,
        (UNKNOWN, "Accrue", "API_KEY_INVALID"): 1,
    }
    # The first two of a terminal are counted with all others'.
    assert {sample.labels["terminal"]: sample.value for sample in conflicts_by_terminal} == {
        "other": 2,
        "store-1/till-1": 4,
    }


def refusals(server: Server) -> dict[tuple[str, str, str], float]:
    """By chain, method and reason."""
    samples = samples_of(server, "loyalty_refusals")
    return {
        (labels["chain"], labels["method"], labels["reason"]): value
        for _, labels, value, *_ in samples
        if value
    }


def samples_of(server: Server, name: str) -> Sequence[Sample]:
    """Those of one metric."""
    [family] = [each for each in text_string_to_metric_families(server.metrics()) if each.name == name]
    return family.samples
