"""What goes out on a connection: frames as they are, and messages as far as the peer's windows allow."""

from collections.abc import Mapping

from benchmarks.load import frames


class _Unsent:
    __slots__ = ("data", "ends")

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends = False


class Outlet:
    """Puts frames into `outgoing`, and keeps messages that wait for a window."""

    def __init__(self, outgoing: list[bytes]) -> None:
        self._outgoing = outgoing
        self._window_bytes = frames.WINDOW_BYTES
        self._initial_window_bytes = frames.WINDOW_BYTES
        self._frame_bytes_max = frames.FRAME_BYTES_MAX
        # Of the streams that have more to send, now or later.
        self._stream_windows: dict[int, int] = {}
        self._unsent: dict[int, _Unsent] = {}

    def open(self, stream_id: int, block: bytes) -> None:
        """Begin a stream that sends more than one message."""
        self._stream_windows[stream_id] = self._initial_window_bytes
        self._outgoing.append(frames.frame(frames.HEADERS, frames.END_HEADERS, stream_id, block))

    def open_and_end(self, stream_id: int, block: bytes, message: bytes) -> None:
        """A stream that sends this message alone."""
        size = len(message)
        if size > self._room_bytes():
            self.open(stream_id, block)
            self.send(stream_id, message, ends=True)
            return
        self._window_bytes -= size
        head = frames.HEAD.pack
        self._outgoing.append(
            head(len(block) << 8 | frames.HEADERS, frames.END_HEADERS, stream_id)
            + block
            + head(size << 8 | frames.DATA, frames.END_STREAM, stream_id)
            + message
        )

    def _room_bytes(self) -> int:
        """What a new stream could send in one frame; nothing is sent past what waits."""
        if self._unsent:
            return -1
        return min(self._window_bytes, self._initial_window_bytes, self._frame_bytes_max)

    def send(self, stream_id: int, message: bytes, *, ends: bool) -> None:
        """Send on an open stream, and with `ends` close our side of it."""
        unsent = self._unsent.setdefault(stream_id, _Unsent())
        unsent.data += message
        unsent.ends = ends
        self._send_some(stream_id, unsent)

    def forget(self, stream_id: int) -> None:
        """The stream is over: what it has not sent is not sent any more."""
        self._stream_windows.pop(stream_id, None)
        self._unsent.pop(stream_id, None)

    # --- what the peer says ---

    def widen(self, stream_id: int, size_bytes: int) -> None:
        """WINDOW_UPDATE."""
        if stream_id == 0:
            self._window_bytes += size_bytes
        elif stream_id in self._stream_windows:
            self._stream_windows[stream_id] += size_bytes
        self._send_waiting()

    def adapt(self, settings: Mapping[int, int]) -> None:
        """SETTINGS; windows of open streams move by as much as that of new ones."""
        self._frame_bytes_max = settings.get(frames.MAX_FRAME_SIZE, self._frame_bytes_max)
        before = self._initial_window_bytes
        self._initial_window_bytes = settings.get(frames.INITIAL_WINDOW_SIZE, before)
        for stream_id in self._stream_windows:
            self._stream_windows[stream_id] += self._initial_window_bytes - before
        self._send_waiting()

    # --- windows ---

    def _send_waiting(self) -> None:
        for stream_id, unsent in list(self._unsent.items()):
            self._send_some(stream_id, unsent)

    def _send_some(self, stream_id: int, unsent: _Unsent) -> None:
        """As many frames as the windows allow; an empty one ends a stream without a window."""
        data, window = unsent.data, self._stream_windows[stream_id]
        while True:
            size = max(0, min(len(data), window, self._window_bytes, self._frame_bytes_max))
            is_last = size == len(data)
            if size == 0 and not (is_last and unsent.ends):
                break
            flags = frames.END_STREAM if is_last and unsent.ends else 0
            self._outgoing.append(frames.frame(frames.DATA, flags, stream_id, bytes(data[:size])))
            del data[:size]
            window -= size
            self._window_bytes -= size
            if is_last:
                break
        self._stream_windows[stream_id] = window
        if not data:
            self._sent_all(stream_id, is_over=unsent.ends)

    def _sent_all(self, stream_id: int, *, is_over: bool) -> None:
        del self._unsent[stream_id]
        if is_over:
            del self._stream_windows[stream_id]
