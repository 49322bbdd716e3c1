"""One place in the fleet, and how soon it is filled anew."""

import asyncio
import signal
from contextlib import suppress
from typing import Final

from processor.supervisor_link import State

_RESTART_SECONDS_FIRST: Final = 0.25
_RESTART_SECONDS_MAX: Final = 5.0
# A worker that lived this long did not die of what its predecessor died of.
_SOUND_SECONDS: Final = 10.0


class Worker:
    """One place in the fleet: the process that fills it now, and what it last reported."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.state: State = "dead"
        # Its process is meant to end: to be replaced by another one, or for good.
        self.is_leaving = False
        self.is_retired = False
        self.restarts = 0
        self.hangs = 0
        self.silent_seconds = 0.0
        self.process: asyncio.subprocess.Process | None = None

    def describe(self) -> dict[str, object]:
        """As /healthz shows it."""
        pid = self.process.pid if self.process else None
        return {"worker": self.index, "pid": pid, "state": self.state, "restarts": self.restarts}

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if there is one."""
        with suppress(ProcessLookupError):
            if self.process:
                self.process.send_signal(number)


class Backoff:
    """Restarts at once after the first death, and ever later while lives stay short."""

    def __init__(self) -> None:
        self._next_seconds = 0.0

    def after_life(self, lived_seconds: float) -> float:
        """How long to wait after a life of this length."""
        seconds = 0.0 if lived_seconds > _SOUND_SECONDS else self._next_seconds
        self._next_seconds = min(max(2 * seconds, _RESTART_SECONDS_FIRST), _RESTART_SECONDS_MAX)
        return seconds
