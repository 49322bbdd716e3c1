"""What is left of calls when nobody has a use for them any more."""

import asyncio
import gc
import math
import weakref
from collections.abc import Awaitable, Callable, Iterator

import pytest

from processor.call import CallGroup
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.convert.sales import accrue_command
from tests.unit.rpc_requests import accrue_request

REPLY = Reply(Outcome.APPLIED, b"", replayed=False)


class Link:
    """What each call of a group holds; unlike a command it can be watched."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python looks for no circles."""
    gc.disable()
    yield
    gc.enable()


async def answered(group: CallGroup) -> None:
    for call in group.calls:
        call.answer(REPLY)
    assert await group.replies() == [REPLY] * 3


async def cancelled(group: CallGroup) -> None:
    waiting = asyncio.create_task(group.replies())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])


async def never_queued(_group: CallGroup) -> None:
    pass


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("live", [answered, cancelled, never_queued])
async def test_calls_are_gone_once_nobody_has_them(live: Callable[[CallGroup], Awaitable[None]]) -> None:
    link = Link()
    watch = weakref.ref(link)
    group = CallGroup([accrue_command(accrue_request(key)) for key in "abc"], math.inf, link)
    del link
    assert watch()

    await live(group)
    del group

    assert not watch()
