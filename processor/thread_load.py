"""How busy a thread is: the share of the time in which it has computed."""

import time
from collections.abc import Callable
from typing import Final

# Shorter, and a single batch would look like a busy worker.
_SECONDS_MIN: Final = 0.05


class ThreadLoad:
    """That of the thread which asks."""

    def __init__(
        self,
        wall: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        """Both clocks are in seconds."""
        self._wall = wall
        self._cpu = cpu
        self._since = wall(), cpu()
        self._share = 0.0

    def share(self) -> float:
        """From 0 to 1, of some 50 milliseconds or more that have passed."""
        wall, cpu = self._wall(), self._cpu()
        wall_before, cpu_before = self._since
        if wall - wall_before >= _SECONDS_MIN:
            self._share = (cpu - cpu_before) / (wall - wall_before)
            self._since = wall, cpu
        return self._share
