"""A worker that serves nothing, and a supervisor of such workers, to test supervision alone.

    python tiny_worker.py supervise
    python tiny_worker.py INDEX FD

SIGUSR1 counts one, SIGUSR2 changes between serving and not serving. The environment may make it die at its
start (TINY_FAILS) or not stop before SIGUSR2 (TINY_STAYS). The supervisor can't read its settings again.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import cycle

from processor import supervisor, worker
from processor.config import ConfigError, Settings, load_settings
from processor.supervisor_link import State


def load_life() -> worker.Life:
    if os.environ.get("TINY_FAILS"):
        sys.exit(3)
    return live


async def live(_settings: Settings, report: Callable[[State], None], _index: int) -> int:
    from prometheus_client import Counter, Gauge

    counter = Counter("tiny_signals", "Signals received.", ["kind"]).labels("usr1")
    Gauge("tiny_alive", "Tiny workers alive.", multiprocess_mode="livesum").set(1)
    states: Iterator[State] = cycle(["serving", "not_serving"])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, counter.inc)
    loop.add_signal_handler(signal.SIGUSR2, lambda: report(next(states)))
    report(next(states))
    await stop.wait()
    release = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR2, release.set)
    report("draining")
    if "TINY_STAYS" in os.environ:
        await release.wait()
    return 0


def reload() -> Settings:
    raise RuntimeError("a defect")


def supervise() -> int:
    try:
        return supervisor.serve(load_settings(), reload, (sys.executable, __file__))
    except ConfigError as error:
        print(*error.lines, sep="\n", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    if sys.argv[1] == "supervise":
        sys.exit(supervise())
    worker.main(load_life)
