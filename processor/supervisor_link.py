"""The worker's end of the line to its supervisor: a socket that carries its state, again and again.

Each report is one JSON line. They come from the event loop, so a worker that hangs falls silent.
"""

import asyncio
import json
import os
import signal
import socket
from threading import Thread
from typing import Final, Literal, NoReturn

import structlog

BEAT_SECONDS: Final = 1.0

State = Literal["starting", "serving", "not_serving", "draining", "dead"]

log = structlog.get_logger()


class SupervisorLink:
    """Reports to the supervisor, and drains this process when the supervisor is gone."""

    def __init__(self, fd: int, stop_seconds: float) -> None:
        """Take over the inherited socket; draining may take so many seconds."""
        self._socket = socket.socket(fileno=fd)
        self._stop_seconds = stop_seconds
        self._state: State | None = None
        self.is_orphan = False
        Thread(target=self._await_the_end, name="supervisor-link", daemon=True).start()

    def report(self, state: State) -> None:
        """Tell the supervisor, if the state is a new one."""
        if state == self._state:
            return
        self._state = state
        self._send()

    async def beat(self) -> NoReturn:
        """Report for ever that the event loop runs."""
        while True:
            self._send()
            await asyncio.sleep(BEAT_SECONDS)

    def _send(self) -> None:
        """Never waits for a supervisor that does not read; the next beat makes up for what it misses."""
        line = json.dumps({"pid": os.getpid(), "state": self._state}).encode() + b"\n"
        try:
            self._socket.send(line, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            log.warning("state not reported, the supervisor is gone", state=self._state)

    def _await_the_end(self) -> None:
        """A thread of its own notices even when the event loop is stuck; the alarm then ends the process."""
        self._socket.recv(1)
        self.is_orphan = True
        signal.setitimer(signal.ITIMER_REAL, self._stop_seconds)
        os.kill(os.getpid(), signal.SIGTERM)
