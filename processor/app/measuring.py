"""The gauges of the database. Each item is measured by itself: one that fails leaves the others fresh."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import time
from typing import NoReturn

import structlog

from processor.domain.failures import StorageFailure
from processor.gauges import (
    DUE_LAG_SECONDS,
    MEASURE_INTERVAL_SECONDS,
    MEASURED_TIMESTAMP_SECONDS,
    StandbyGauges,
    show_outstanding,
    show_tables,
    show_verification,
)
from storage import measures
from storage.opened import OpenStorage

log = structlog.get_logger()

# Measures an item, shows it, and returns the unix time as of which it is; None if there is nothing yet.
Show = Callable[[], Awaitable[float | None]]


async def show_database(storage: OpenStorage, interval_seconds: float) -> NoReturn:
    """Keep the gauges for ever; one worker does it for all of its server."""
    MEASURE_INTERVAL_SECONDS.set(interval_seconds)
    items = DatabaseItems(storage, interval_seconds)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_show_for_ever(items.quick(), interval_seconds))
        tasks.create_task(_show_for_ever(items.slow(), interval_seconds))
    raise AssertionError  # they never end


async def _show_for_ever(items: Mapping[str, Show], interval_seconds: float) -> NoReturn:
    for item in items:
        MEASURED_TIMESTAMP_SECONDS.labels(item).set(time())  # until it is measured
    while True:
        for item, show in items.items():
            await _show(item, show)
        await asyncio.sleep(interval_seconds)


async def _show(item: str, show: Show) -> None:
    try:
        measured_at = await show()
        if measured_at is not None:
            MEASURED_TIMESTAMP_SECONDS.labels(item).set(measured_at)
    except StorageFailure as failure:
        log.warning("the database can't be measured", item=item, error=str(failure))


class DatabaseItems:
    """What there is to measure."""

    def __init__(self, storage: OpenStorage, interval_seconds: float) -> None:
        self._pool = storage.pool
        self._interval_seconds = interval_seconds
        self._standby_gauges = StandbyGauges()
        self._are_standbys_hidden = False

    def quick(self) -> dict[str, Show]:
        """Those that are measured in a moment, by name."""
        return {
            "standbys": self._standbys,
            "due_lag": self._due_lag,
            "verification": self._verification,
            "table_sizes": self._table_sizes,
        }

    def slow(self) -> dict[str, Show]:
        """What reads every account."""
        return {"outstanding_points": self._outstanding_points}

    async def _standbys(self) -> float:
        found = await measures.standbys(self._pool)
        self._standby_gauges.show(found.streaming, found.sync_wanted)
        self._tell_of_hidden(is_hidden=found.streaming is None)
        return time()

    def _tell_of_hidden(self, *, is_hidden: bool) -> None:
        if is_hidden and not self._are_standbys_hidden:
            log.warning(
                "standbys are not measured: PostgreSQL hides them from the owner of the tables",
                missing="GRANT pg_read_all_stats TO the owner of the tables",
            )
        self._are_standbys_hidden = is_hidden

    async def _due_lag(self) -> float:
        DUE_LAG_SECONDS.set(await measures.due_lag_seconds(self._pool))
        return time()

    async def _verification(self) -> float:
        show_verification(await measures.last_verification(self._pool))
        return time()

    async def _table_sizes(self) -> float:
        show_tables(await measures.table_sizes(self._pool))
        return time()

    async def _outstanding_points(self) -> float | None:
        """Measured by whichever process had the turn, at whatever time that was."""
        found = await measures.measure_outstanding(self._pool, self._interval_seconds)
        if found is None:
            return None
        show_outstanding(found.points_by_chain)
        return found.measured_at_seconds
