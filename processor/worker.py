"""The entry of a worker process: `python -m processor.worker INDEX FD`, started by the supervisor alone."""

import asyncio
import gc
import os
import shutil
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
import uvloop
from prometheus_client import values

from processor import clock, failpoints
from processor.config import ConfigError, Settings, load_settings
from processor.log import configure_log
from processor.supervisor_link import State, SupervisorLink

METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

log = structlog.get_logger()

# What the worker of some index does until SIGTERM: it reports its states and returns the exit status.
Life = Callable[[Settings, Callable[[State], None], int], Coroutine[Any, Any, int]]


def work(index: int, fd: int, load_life: Callable[[], Life]) -> int:
    """Live the life of the worker that has this index, reporting through this inherited socket."""
    settings = load_settings()
    configure_log(settings.log_level, settings.log_format, worker=index)
    failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))
    if clock_file := os.environ.get(clock.VARIABLE, ""):
        clock.set_by(clock_file)
        log.warning("the clock is a test's", file=clock_file)
    _name_metrics_after(index)
    link = SupervisorLink(fd, settings.stop_seconds)
    link.report("starting")
    life = load_life()
    _collect_seldom()
    status = uvloop.run(_live(life, settings, link, index))
    if link.is_orphan:
        shutil.rmtree(os.environ[METRICS_VARIABLE], ignore_errors=True)
    return status


async def _live(life: Life, settings: Settings, link: SupervisorLink, index: int) -> int:
    beat = asyncio.create_task(link.beat())
    try:
        return await life(settings, link.report, index)
    finally:
        beat.cancel()


def _collect_seldom() -> None:
    """Look for cycles seldom, and never among what lives as long as the process.

    Calls leave next to none behind, and every one makes hundreds of objects: by Python's own thresholds a
    fifth of a busy worker's time went into looking through those that were waiting.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _name_metrics_after(index: int) -> None:
    """Let each worker continue the metrics of the one that had its index before; before any metric is made.

    Named after processes, as is the default, the files of dead workers would pile up.
    """
    values.ValueClass = values.MultiProcessValue(lambda: index)  # type: ignore[no-untyped-call]


def _load_app() -> Life:
    from processor.app.life import run

    return run


def main(load_life: Callable[[], Life] = _load_app) -> None:
    """Run the process; problems of its settings are one line each."""
    try:
        sys.exit(work(int(sys.argv[1]), int(sys.argv[2]), load_life))
    except ConfigError as error:
        sys.exit("\n".join(error.lines))
    except Exception:
        log.exception("worker failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
