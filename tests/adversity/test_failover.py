"""Primary or standby is lost under load: the service goes on, and nothing acknowledged is lost."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from storage.embedded import EmbeddedPostgres
from tests.client import Till
from tests.crash import loaded_chain
from tests.load import Load
from tests.server import eventually, serving
from tests.standby import Pair, fence, freeze, kill, query, replicated

CALLS: Final = 200


@pytest.fixture
def pair() -> Iterator[Pair]:
    with replicated() as pair:
        yield pair
        pair.primary.kill()


@pytest.mark.parametrize(
    "lose, standby_first",
    [(kill, True), (freeze, False), (fence, False)],
    ids=["killed", "frozen", "fenced"],
)
async def test_the_service_follows_the_primary_and_nothing_acknowledged_is_lost(
    pair: Pair, lose: Callable[[EmbeddedPostgres], None], *, standby_first: bool
) -> None:
    dsn = pair.dsn(standby_first=standby_first)
    chain = await loaded_chain(dsn)
    with serving(dsn, workers=2, statement_timeout_seconds=2) as server:
        pids = server.worker_pids()
        load = Load(chain, server.address)
        await load.progress(CALLS)
        await asyncio.to_thread(lose, pair.primary)
        await asyncio.to_thread(pair.promote)
        await load.progress(CALLS)
        await load.finish()
        # The same processes, each of which has found the new primary.
        await asyncio.to_thread(eventually, lambda: server.worker_pids() == pids, describe=server.log)
    await asyncio.to_thread(pair.primary.kill)
    await load.prove()


async def test_without_its_standby_a_primary_acknowledges_nothing_that_can_be_lost(pair: Pair) -> None:
    chain = await loaded_chain(pair.dsn())
    with serving(pair.dsn(), workers=2, statement_timeout_seconds=0.5, retry_seconds=1) as server:
        load = Load(chain, server.address)
        await load.progress(CALLS)
        pair.standby.kill()
        async with Till(server.address, chain.api_key) as till:
            key = await visible_key(pair.primary, load)
            assert (await till.get_operation(key)).reason == "STORAGE_UNAVAILABLE"
        # Sent again and again meanwhile, and met in the ledger each time.
        await load.until(lambda: load.transient["OUTCOME_UNKNOWN"] >= 12)
        pair.primary.kill()
        await asyncio.to_thread(pair.standby.start)
        await asyncio.to_thread(pair.promote)
        await load.progress(CALLS)
        await load.finish()
    await load.prove()


async def visible_key(primary: EmbeddedPostgres, load: Load) -> str:
    """The key of an operation that can be read though nobody may be told of it."""
    async with asyncio.timeout(30):
        while True:
            keys = await asyncio.to_thread(query, primary, "SELECT array_agg(idempotency_key) FROM operation")
            if unconfirmed := set(keys) - set(load.acknowledged):
                return str(unconfirmed.pop())
            await asyncio.sleep(0.05)
