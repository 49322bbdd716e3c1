"""The primary is lost under load and the standby promoted: the service goes on there, nothing lost."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from storage.embedded import EmbeddedPostgres
from tests.crash import loaded_chain
from tests.load import Load
from tests.server import eventually, serving
from tests.standby import Pair, fence, freeze, kill, replicated

CALLS: Final = 200


@pytest.fixture
def pair() -> Iterator[Pair]:
    with replicated() as pair:
        yield pair
        pair.primary.kill()


@pytest.mark.parametrize(
    "lose, standby_first",
    [(kill, False), (kill, True), (freeze, False), (fence, False)],
    ids=["killed", "killed-named-last", "frozen", "fenced"],
)
async def test_the_service_follows_the_primary_and_nothing_acknowledged_is_lost(
    pair: Pair, lose: Callable[[EmbeddedPostgres], None], *, standby_first: bool
) -> None:
    dsn = pair.dsn(standby_first=standby_first)
    chain = await asyncio.to_thread(loaded_chain, dsn)
    with serving(dsn, workers=2, statement_timeout_seconds=2) as server:
        pids = server.worker_pids()
        load = Load(chain, server.address)
        await load.progress(CALLS)
        await asyncio.to_thread(lose, pair.primary)
        await asyncio.to_thread(pair.promote)
        await load.progress(CALLS)
        await load.finish()
        await asyncio.to_thread(eventually, lambda: server.worker_pids() == pids, 30, server.log)
    await load.prove()
