"""The client processes: each has its own connections and its own households."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from contextlib import AsyncExitStack
from multiprocessing.sharedctypes import Synchronized
from typing import Final, NamedTuple

import pandas as pd
import uvloop
from hdrh.histogram import HdrHistogram

from benchmarks.replay.connections import Mode, connect, open_channel
from benchmarks.replay.events import Header
from benchmarks.replay.log import LogEntry, Standing
from benchmarks.replay.receipts import Receipts, select
from benchmarks.replay.requests import Requests
from benchmarks.replay.rules import Rules
from benchmarks.replay.tills import LATENCY_RANGE_US, Tills

_PROGRESS_SECONDS: Final = 0.2


class Part(NamedTuple):
    """What one process has to tell; the times are those of the machine's monotonic clock."""

    log: pd.DataFrame
    encoded_latencies_us: bytes
    began_seconds: float
    ended_seconds: float


class Load(NamedTuple):
    """How the receipts are sent; `connections`, `lanes` and `batch_ops` are those of one process."""

    target: str
    api_key: str
    run_id: str
    rules: Rules
    seed: int
    mode: Mode
    connections: int
    lanes: int
    batch_ops: int


class Sent(NamedTuple):
    """What the processes have to tell: `log` has the columns of LogEntry.

    `seconds` runs from the first receipt sent to the last one answered.
    """

    log: pd.DataFrame
    latencies_us: HdrHistogram
    seconds: float


def send_receipts(
    receipts: Receipts,
    standings: Mapping[int, Standing],
    load: Load,
    *,
    processes: int,
    on_progress: Callable[[int], None],
) -> Sent:
    """Send all receipts from so many processes. `on_progress` is told how many have been answered.

    Raises ReplayError.
    """
    # Spawned: gRPC does not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    answered = spawn.Value("q", 0)
    with ProcessPoolExecutor(processes, spawn, initializer=_share, initargs=(answered,)) as pool:
        running = [pool.submit(_send_part, part, standings, load) for part in _split(receipts, processes)]
        while wait(running, _PROGRESS_SECONDS, FIRST_EXCEPTION).not_done:
            on_progress(answered.value)
            _raise_failure(running)
        return _merged([future.result() for future in running])


def _raise_failure(running: Sequence[Future[Part]]) -> None:
    for future in running:
        if future.done():
            future.result()


def _split(receipts: Receipts, processes: int) -> Iterator[Receipts]:
    """Parts of about as many receipts each, with every household in one of them."""
    by_size = receipts.headers.household_id.value_counts().index
    for number in range(processes):
        own = receipts.headers.household_id.isin(by_size[number::processes])
        yield select(receipts, receipts.headers[own])


def _merged(parts: Sequence[Part]) -> Sent:
    latencies_us = HdrHistogram(*LATENCY_RANGE_US)
    for part in parts:
        latencies_us.decode_and_add(part.encoded_latencies_us)
    seconds = max(part.ended_seconds for part in parts) - min(part.began_seconds for part in parts)
    return Sent(pd.concat([part.log for part in parts], ignore_index=True), latencies_us, seconds)


# --- in a client process --------------------------------------------------------------------------

_answered: "Synchronized[int] | None" = None


def _share(answered: "Synchronized[int]") -> None:
    global _answered  # noqa: PLW0603 - a process is told once, as it starts
    _answered = answered


def _count(receipts: int) -> None:
    assert _answered is not None
    with _answered.get_lock():
        _answered.value += receipts


def _send_part(receipts: Receipts, standings: Mapping[int, Standing], load: Load) -> Part:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_send(receipts, standings, load))


async def _send(receipts: Receipts, standings: Mapping[int, Standing], load: Load) -> Part:
    headers = receipts.headers[list(Header._fields)].itertuples(index=False, name=None)
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(open_channel(load.target)) for _ in range(load.connections)
        ]
        tills = Tills(
            [connect(channel, load.mode, load.api_key) for channel in channels],
            Requests(receipts.lines, load.run_id),
            rules=load.rules,
            seed=load.seed,
            lanes=load.lanes,
            batch_ops=load.batch_ops,
            on_answered=_count,
        )
        began_seconds = time.monotonic()
        await tills.run([Header(*values) for values in headers], standings)
        ended_seconds = time.monotonic()
    log = pd.DataFrame(tills.log, columns=LogEntry._fields)
    return Part(log, tills.latencies_us.encode(), began_seconds, ended_seconds)
