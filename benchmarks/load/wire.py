"""A TCP socket that never blocks."""

import errno
import os
import socket
from typing import Final, NamedTuple

_READ_BYTES: Final = 256 * 1024


class Address(NamedTuple):
    """What a socket connects to."""

    family: socket.AddressFamily
    place: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


class UnreachableError(Exception):
    """One line: why nobody can be connected to."""


def resolve(target: str) -> Address:
    """The first address of HOST:PORT. Raises UnreachableError."""
    if "://" in target:
        raise UnreachableError("give HOST:PORT alone: the load generator speaks plaintext, and has no TLS")
    host, _, port = target.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{target} is no HOST:PORT that can be found: {error}") from None
    family, _, _, _, place = found[0]
    return Address(family, place)


class Wire:
    """A connection that is opening, open or, with a `loss`, lost. `outgoing` is written by `flush`."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.socket(address.family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_open = False
        self.loss = ""
        self.outgoing: list[bytes] = []
        self._unwritten = b""
        code = self._socket.connect_ex(address.place)
        if code not in {0, errno.EINPROGRESS}:
            self.lose(os.strerror(code))

    def fileno(self) -> int:
        """For select()."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether to wait for room in the socket, or for it to open."""
        return bool(self._unwritten) or not self.is_open

    def on_writable(self) -> None:
        """The socket has room, or has opened, or could not."""
        if not self.is_open:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.lose(os.strerror(code))
                return
            self.is_open = True
        self.flush()

    def flush(self) -> None:
        """Write as much as the socket takes."""
        if not self.is_open or not (self.outgoing or self._unwritten):
            return
        data = self._unwritten + b"".join(self.outgoing)
        self.outgoing.clear()
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.lose(str(error.strerror))
            return
        self._unwritten = data[sent:]

    def read(self) -> bytes:
        """What has come; nothing, too, if the connection is lost by now."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            self.lose(str(error.strerror))
            return b""
        if not data:
            self.lose("the peer closed it")
        return data

    def lose(self, reason: str) -> None:
        """Close it."""
        self.loss = reason
        self.is_open = False
        self._socket.close()
