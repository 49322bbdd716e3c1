"""When lanes wait for each other and for more calls."""

import asyncio
from itertools import count

import pytest

from processor.thread_load import ThreadLoad
from processor.turns import LARGE_BATCH_OPS, Turns


class Clocks:
    """Seconds on the wall, and those in which the thread has computed."""

    def __init__(self) -> None:
        self.wall = 1_000.0
        self.cpu = 5.0
        self.load = ThreadLoad(lambda: self.wall, lambda: self.cpu)

    def go_on(self, seconds: float, share: float) -> None:
        self.wall += seconds
        self.cpu += seconds * share


def test_the_load_is_that_of_the_time_since_it_was_last_asked_for() -> None:
    clocks = Clocks()
    assert clocks.load.share() == 0
    for share in (0.25, 0.75, 0.5):
        clocks.go_on(1, share)
        assert clocks.load.share() == pytest.approx(share)


def test_a_moment_of_work_is_not_a_load() -> None:
    clocks = Clocks()
    clocks.go_on(0.1, 0.1)
    before = clocks.load.share()
    clocks.go_on(0.01, 1)
    assert clocks.load.share() == before
    clocks.go_on(0.05, 0)
    assert clocks.load.share() == pytest.approx(0.01 / 0.06)


def turns(share: float) -> Turns:
    """Those of a worker that has computed for this share of the time."""
    clocks = Clocks()
    clocks.go_on(1, share)
    return Turns(clocks.load)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, that ends no waiting."""
    monkeypatch.setattr("processor.turns._GATHER_SECONDS_MAX", 20.0)


async def looks(share: float, *waiting_ops: int) -> int:
    """How often a lane looks at its queue, which has so many calls each time, before it writes."""
    counts = iter(waiting_ops)
    async with asyncio.timeout(20):
        await turns(share).gather(lambda: next(counts))
    return len(waiting_ops) - len(list(counts))


async def test_with_time_to_spare_nobody_waits() -> None:
    assert await looks(0.5, 50, 60) == 1


async def test_few_calls_are_not_kept_waiting_whatever_else_the_worker_does() -> None:
    assert await looks(1.0, 1, 2) == 1


@pytest.mark.usefixtures("patient")
async def test_a_busy_worker_lets_calls_come_until_they_are_many() -> None:
    assert await looks(1.0, 10, 20, 50, LARGE_BATCH_OPS, LARGE_BATCH_OPS + 1) == 4


@pytest.mark.usefixtures("patient")
async def test_a_busy_worker_waits_no_longer_when_no_more_come() -> None:
    assert await looks(1.0, 10, 20, 20, 30) == 3


async def test_a_busy_worker_waits_for_no_more_than_a_moment() -> None:
    counts = count(10)
    await turns(1.0).gather(lambda: next(counts))
    assert next(counts) < LARGE_BATCH_OPS


async def test_with_little_to_write_one_is_let_in_after_the_other() -> None:
    shared = turns(0)
    async with shared.turn(1):
        second = asyncio.create_task(_enter(shared, 1))
        await asyncio.sleep(0)
        assert not second.done()
    await second


async def test_with_much_to_write_nobody_is_waited_for() -> None:
    shared = turns(0)
    async with shared.turn(1):
        await _enter(shared, LARGE_BATCH_OPS)


async def test_who_stands_still_is_not_waited_for_long() -> None:
    shared = turns(0)
    async with shared.turn(1), asyncio.timeout(20):
        await _enter(shared, 1)


async def _enter(shared: Turns, queued_ops: int) -> None:
    async with shared.turn(queued_ops):
        pass
