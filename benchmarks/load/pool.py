"""The connections of one process: those that are lost or leave are replaced."""

import select
import time
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.load.connection import Connection
from benchmarks.load.wire import Address, UnreachableError

_RETRY_SECONDS: Final = 0.2


class Pool:
    """`size` connections to one address. What is lost stays so for a moment, then it is opened anew."""

    def __init__(self, address: Address, size: int) -> None:
        self._address = address
        self._connections = [Connection(address) for _ in range(size)]
        self._leaving: list[Connection] = []
        self._turn = 0
        self._renewed_at = time.perf_counter()
        self._usable_at = time.perf_counter()
        self.loss = ""

    def by_turns(self) -> Iterator[Connection]:
        """All of them, beginning with another one each time."""
        size = len(self._connections)
        for _ in range(size):
            self._turn = (self._turn + 1) % size
            yield self._connections[self._turn]

    @property
    def has_streams(self) -> bool:
        """Whether anything is under way."""
        return any(connection.streams for connection in self._all())

    def settle(self, timeout_seconds: float) -> None:
        """Take what has come since the last time, and wait until every connection is usable.

        Raises UnreachableError.
        """
        self._usable_at = time.perf_counter()
        self.wait(0, lambda: None)
        while True:
            self.renew()
            if all(connection.is_usable for connection in self._connections):
                return
            if self.outage_seconds() > timeout_seconds:
                raise UnreachableError(self.loss or "it accepts connections, but does not speak HTTP/2")
            self.flush()
            self.wait(_RETRY_SECONDS, lambda: None)

    def flush(self) -> None:
        """Write what there is."""
        for connection in self._all():
            connection.flush()

    def wait(self, timeout_seconds: float, on_read: Callable[[], None]) -> None:
        """Wait until a socket is ready, then read and write; `on_read` is called before each is read."""
        waiting = [connection for connection in self._all() if not connection.wire.loss]
        writing = [connection for connection in waiting if connection.wire.wants_write]
        readable, writable, _ = select.select(waiting, writing, (), timeout_seconds)
        for connection in writable:
            connection.on_writable()
        for connection in readable:
            if not connection.wire.loss:
                on_read()
                connection.read()

    def renew(self) -> None:
        """Replace those that are lost or leave; a lost one not at once."""
        now = time.perf_counter()
        is_time = now - self._renewed_at > _RETRY_SECONDS
        for place, connection in enumerate(self._connections):
            if connection.is_usable:
                self._usable_at = now
            elif connection.wire.loss:
                self.loss = connection.wire.loss
                if is_time:
                    self._renewed_at = now
                    self._connections[place] = Connection(self._address)
            elif connection.is_leaving:
                self._leaving.append(connection)
                self._connections[place] = Connection(self._address)
        self._leaving = [connection for connection in self._leaving if not self._has_left(connection)]

    def outage_seconds(self) -> float:
        """For how long no connection was usable."""
        return time.perf_counter() - self._usable_at

    def lose(self, reason: str) -> None:
        """Close all of them; what is under way fails."""
        for connection in self._all():
            connection.lose(reason)

    def _all(self) -> list[Connection]:
        return self._connections + self._leaving

    @staticmethod
    def _has_left(connection: Connection) -> bool:
        if connection.streams:
            return False
        if not connection.wire.loss:
            connection.lose("closed")
        return True
