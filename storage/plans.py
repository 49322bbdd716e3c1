"""Plans that connections keep, made anew from time to time."""

import time
from collections.abc import Callable
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

_SECONDS_MAX: Final = 5.0


class PlanRenewal:
    """Lets no connection of a pool keep a plan for long: it was made for tables as small as they were then.

    PostgreSQL itself makes plans anew when it has analysed a table, which takes it a minute or more. In a
    partition of some 200 rows, the index by member is a page lower than that by key, so the planner takes it
    for a look-up by key. That is no worse then, but it goes on reading all that the chain has for every key.
    """

    def __init__(
        self, seconds_max: float = _SECONDS_MAX, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds_max = seconds_max
        self._clock = clock
        self._renewed_at: dict[int, float] = {}

    async def renew(self, connection: PoolConnectionProxy | asyncpg.Connection) -> None:
        """Forget the plans of a connection if that was not done lately; costs a round trip then."""
        now = self._clock()
        process = connection.get_server_pid()
        if process in self._renewed_at and now - self._renewed_at[process] < self._seconds_max:
            return
        try:
            await connection.execute("DISCARD PLANS")
        except BaseException:
            # Else the pool would close it in good order, which takes long where PostgreSQL stands still.
            connection.terminate()
            raise
        self._renewed_at = {each: at for each, at in self._renewed_at.items() if now - at < self._seconds_max}
        self._renewed_at[process] = now
