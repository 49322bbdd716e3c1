"""The worker's end of the line to its supervisor: a socket that carries its state, one JSON line a change."""

import json
import os
import signal
import socket
from threading import Thread
from typing import Literal

import structlog

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
        try:
            self._socket.sendall(json.dumps({"pid": os.getpid(), "state": state}).encode() + b"\n")
        except ConnectionError:
            log.warning("state not reported, the supervisor is gone", state=state)

    def _await_the_end(self) -> None:
        """A thread of its own notices even when the event loop is stuck; the alarm then ends the process."""
        self._socket.recv(1)
        self.is_orphan = True
        signal.setitimer(signal.ITIMER_REAL, self._stop_seconds)
        os.kill(os.getpid(), signal.SIGTERM)
