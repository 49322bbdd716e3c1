"""The ledger's partitions: which there are, new ones ahead of time, and old ones detached."""

import asyncio
import logging
from bisect import bisect_right
from enum import StrEnum
from time import time_ns
from typing import Final, NamedTuple, NoReturn

import asyncpg

from processor.domain.failures import StorageFailure
from processor.domain.home import Home
from processor.domain.times import format_us
from storage.errors import DATABASE_ERRORS, translate
from storage.queries import load_queries

_SQL: Final = load_queries("partitions")
_RETRY_SECONDS: Final = 5.0
_log: Final = logging.getLogger(__name__)


class PartitionError(Exception):
    """What an operator asked for cannot be; the text says why and what to change."""


class Interval(StrEnum):
    """How long the range of a partition is, in the calendar of UTC; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Range(NamedTuple):
    """What a partition holds: occurred_at from `from_us` to before `to_us`, in unix microseconds."""

    name: str
    from_us: int
    to_us: int


class PartitionSize(NamedTuple):
    """A partition as an operator sees it; `operations_estimate` is as old as its last ANALYZE."""

    name: str
    from_us: int
    to_us: int
    operations_estimate: int
    size_bytes: int


class Partitions:
    """The partitions as this process knows them; none before the first `load`.

    What it knows stays true: a partition is detached only when no window of a chain reaches it any more.
    Failures are those of `processor.domain.failures`.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._ranges: list[Range] = []
        self._starts_us: list[int] = []

    async def load(self) -> None:
        """Read from the catalogue which partitions there are."""
        try:
            rows = await self._pool.fetch(_SQL["ranges"])
        except DATABASE_ERRORS as error:
            raise translate(error) from error
        self._ranges = [Range(*row) for row in rows]
        self._starts_us = [known.from_us for known in self._ranges]

    async def name_for(self, occurred_at_us: int) -> str:
        """The partition of a time; made if there is none."""
        known = self._known(occurred_at_us) or await self._make(occurred_at_us)
        return known.name

    async def home(self) -> Home:
        """The partition of the present; made if there is none."""
        now_us = _now_us()
        return Home(*(self._known(now_us) or await self._make(now_us)))

    def start_of(self, at_us: int) -> int:
        """Where the partition of a time begins; the time itself if no partition is known for it."""
        known = self._known(at_us)
        return known.from_us if known else at_us

    async def make_ahead(self, count: int) -> None:
        """See that there are the present partition and `count` after it."""
        await self.load()
        next_us = _now_us()
        for _ in range(count + 1):
            known = self._known(next_us) or await self._make(next_us)
            next_us = known.to_us

    async def keep_ahead(self, count: int, interval_seconds: float) -> NoReturn:
        """`make_ahead` for ever; while PostgreSQL is away, try again every few seconds."""
        while True:
            pause_seconds = interval_seconds
            try:
                await self.make_ahead(count)
            except StorageFailure as error:
                _log.warning("partitions cannot be made ahead: %s", error)
                pause_seconds = min(interval_seconds, _RETRY_SECONDS)
            await asyncio.sleep(pause_seconds)

    def runway_seconds(self) -> float:
        """How long from now on there is a partition without a gap; 0 if there is none for now."""
        now_us = _now_us()
        end_us = now_us
        while known := self._known(end_us):
            end_us = known.to_us
        return (end_us - now_us) / 1_000_000

    def _known(self, at_us: int) -> Range | None:
        index = bisect_right(self._starts_us, at_us) - 1
        if index < 0 or at_us >= self._ranges[index].to_us:
            return None
        return self._ranges[index]

    async def _make(self, at_us: int) -> Range:
        try:
            await self._pool.execute(_SQL["ensure"], at_us)
        except DATABASE_ERRORS as error:
            raise translate(error) from error
        await self.load()
        made = self._known(at_us)
        assert made is not None
        return made


def _now_us() -> int:
    return time_ns() // 1_000


async def list_partitions(connection: asyncpg.Connection) -> list[PartitionSize]:
    """The ledger's partitions, the oldest first."""
    return [PartitionSize(*row) for row in await connection.fetch(_SQL["sizes"])]


async def partition_interval(connection: asyncpg.Connection) -> Interval:
    """How long a new partition's range is."""
    return Interval(await connection.fetchval(_SQL["interval"]))


async def set_partition_interval(connection: asyncpg.Connection, interval: Interval) -> None:
    """Make new partitions this long; those that there are keep their range."""
    await connection.execute(_SQL["set_interval"], interval)


async def detach_partition(connection: asyncpg.Connection, name: str) -> None:
    """Take a partition out of the ledger; it stays a table of its own, for an archive or DROP TABLE.

    The service reads and writes on meanwhile. Repeat it after an interruption. Raises PartitionError.
    """
    state = await connection.fetchrow(_SQL["attached"], name)
    if state is None:
        raise PartitionError(f"the ledger has no partition {name!r}: see 'partitions list'")
    if state["half_detached"]:
        await connection.execute(_SQL["finish_detaching"].format(name=name))
        return
    if state["is_needed"]:
        raise PartitionError(
            f"partition {name} lies within a chain's window: it can be detached after"
            f" {format_us(state['needed_until'])}, or when no chain's window reaches back to it"
        )
    async with connection.transaction():
        await connection.execute(_SQL["close"].format(name=name))
        await connection.execute(_SQL["record_detachment"].format(name=name))
    await connection.execute(_SQL["detach"].format(name=name))
