"""One HTTP/2 connection of a client: streams are opened, and told what comes."""

import struct
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from benchmarks.load import frames
from benchmarks.load.headers import Blocks, Fields
from benchmarks.load.outlet import Outlet
from benchmarks.load.wire import Address, Wire

# Given back to the peer when so much was read.
_CREDIT_BYTES: Final = 64 * 1024 * 1024
_GREETING: Final = (
    frames.PREFACE
    + frames.settings(header_table_size=0, enable_push=0, initial_window_size=frames.WINDOW_BYTES_MAX)
    + frames.window_update(0, frames.WINDOW_BYTES_MAX - frames.WINDOW_BYTES)
)


class Stream(Protocol):
    """Who opened a stream is told what becomes of it: `take` any number of times, then one of the others."""

    def take(self, data: bytes) -> None:
        """Bytes of the answer."""

    def end(self, fields: Fields) -> None:
        """The answer is whole; these are its last fields."""

    def fail(self, reason: str) -> None:
        """It broke off: nobody knows what the peer has done."""

    def refuse(self) -> None:
        """The peer has not looked at it: it may be sent again."""


class Connection:
    """Never blocks: `read` and `flush` do what the socket lets them, `on_writable` what it then can."""

    def __init__(self, address: Address, first_stream_id: int = 1) -> None:
        self.wire = Wire(address)
        self.streams: dict[int, Stream] = {}
        self.is_leaving = False  # takes no new streams
        self._has_met_peer = False
        self._streams_max = frames.STREAM_ID_MAX
        self._next_stream_id = first_stream_id
        self._outgoing = self.wire.outgoing
        self._outgoing.append(_GREETING)
        self._outlet = Outlet(self._outgoing)
        self._unread = b""
        self._read_bytes = 0
        self._blocks = Blocks()
        self._part_of_block = (0, b"")
        self._farewell = ""
        self._takers: Mapping[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._take_data,
            frames.HEADERS: self._take_headers,
            frames.CONTINUATION: self._take_continuation,
            frames.RST_STREAM: self._take_reset,
            frames.SETTINGS: self._take_settings,
            frames.PING: self._take_ping,
            frames.GOAWAY: self._take_goaway,
            frames.WINDOW_UPDATE: self._take_window_update,
        }

    def fileno(self) -> int:
        """For select()."""
        return self.wire.fileno()

    # --- streams ---

    @property
    def is_usable(self) -> bool:
        """Whether the peer takes streams; it has said by now how many, and how large."""
        return self._has_met_peer and not self.is_leaving and self.wire.is_open

    @property
    def has_room(self) -> bool:
        """Whether one more stream may be opened."""
        return self.is_usable and len(self.streams) < self._streams_max

    def call(self, stream: Stream, block: bytes, message: bytes) -> None:
        """Open a stream that sends this message alone."""
        self._outlet.open_and_end(self._add(stream), block, message)

    def open(self, stream: Stream, block: bytes) -> int:
        """Open a stream for `send`; returns its id."""
        stream_id = self._add(stream)
        self._outlet.open(stream_id, block)
        return stream_id

    def _add(self, stream: Stream) -> int:
        stream_id = self._next_stream_id
        self.streams[stream_id] = stream
        self._next_stream_id = stream_id + 2
        if self._next_stream_id > frames.STREAM_ID_MAX:
            self.is_leaving = True
        return stream_id

    def send(self, stream_id: int, message: bytes, *, ends: bool = False) -> None:
        """Send on a stream from `open`; `ends` closes our side of it."""
        self._outlet.send(stream_id, message, ends=ends)

    def credit(self, stream_id: int, size_bytes: int) -> None:
        """Let the peer send so much more on a stream that lasts; calls end before it matters."""
        self._outgoing.append(frames.window_update(stream_id, size_bytes))

    # --- the wire ---

    def on_writable(self) -> None:
        """The socket has room, or has opened, or could not."""
        self.wire.on_writable()
        self._notice_loss()

    def flush(self) -> None:
        """Write what there is."""
        self.wire.flush()
        self._notice_loss()

    def read(self) -> None:
        """Take what has come."""
        data = self.wire.read()
        if data:
            self._take(self._unread + data)
        self._notice_loss()

    def lose(self, reason: str) -> None:
        """Close it; what is under way fails."""
        self.wire.lose(reason)
        self._notice_loss()

    def _notice_loss(self) -> None:
        if self.wire.loss and self.streams:
            streams, self.streams = self.streams, {}
            reason = self._farewell or self.wire.loss
            for stream in streams.values():
                stream.fail(f"UNAVAILABLE: connection lost: {reason}")

    # --- frames ---

    def _take(self, data: bytes) -> None:
        unpack, head_bytes, takers = frames.HEAD.unpack_from, frames.HEAD_BYTES, self._takers
        start, end = 0, len(data)
        try:
            while end - start >= head_bytes:
                size_and_kind, flags, stream_id = unpack(data, start)
                stop = start + head_bytes + (size_and_kind >> 8)
                if stop > end:
                    break
                take = takers.get(size_and_kind & 0xFF)
                if take:
                    take(flags, stream_id, data[start + head_bytes : stop])
                start = stop
        except (frames.PeerError, struct.error) as error:
            self.lose(str(error))
        self._unread = data[start:]

    def _take_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._read_bytes += len(payload)
        if self._read_bytes > _CREDIT_BYTES:
            self.credit(0, self._read_bytes)
            self._read_bytes = 0
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        stream.take(frames.without_padding(flags, payload) if flags & frames.PADDED else payload)
        if flags & frames.END_STREAM:
            self._end(stream_id, {})

    def _take_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & (frames.PADDED | frames.WITH_PRIORITY):
            payload = frames.without_padding(flags, payload)
        if flags & frames.END_HEADERS:
            self._take_block(flags, stream_id, payload)
        else:
            self._part_of_block = (flags, payload)

    def _take_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        """More of a block that is longer than a frame."""
        first_flags, part = self._part_of_block
        self._part_of_block = (first_flags, part + payload)
        if flags & frames.END_HEADERS:
            self._take_block(first_flags, stream_id, part + payload)

    def _take_block(self, flags: int, stream_id: int, block: bytes) -> None:
        fields = self._blocks.decode(block)
        if flags & frames.END_STREAM:
            self._end(stream_id, fields)

    def _end(self, stream_id: int, fields: Fields) -> None:
        stream = self._remove(stream_id)
        if stream:
            stream.end(fields)

    def _remove(self, stream_id: int) -> Stream | None:
        self._outlet.forget(stream_id)
        return self.streams.pop(stream_id, None)

    def _take_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        stream = self._remove(stream_id)
        if stream is None:
            return
        (code,) = frames.UINT32.unpack(payload)
        if code == frames.ErrorCode.REFUSED_STREAM:
            stream.refuse()
        else:
            stream.fail(f"stream reset: {frames.error_name(code)}")

    def _take_settings(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        values = dict(frames.SETTING.iter_unpack(payload))
        self._streams_max = values.get(frames.MAX_CONCURRENT_STREAMS, self._streams_max)
        self._outlet.adapt(values)
        self._outgoing.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._has_met_peer = True

    def _take_ping(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self._outgoing.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _take_goaway(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        """Streams up to the last one that the peer names go on; it has not looked at later ones."""
        self.is_leaving = True
        last_stream_id, code = frames.HEAD_OF_GOAWAY.unpack_from(payload)
        text = payload[frames.HEAD_OF_GOAWAY.size :].decode(errors="replace")
        self._farewell = f"GOAWAY {frames.error_name(code)} {text}".rstrip()
        for stream_id in [number for number in self.streams if number > last_stream_id]:
            stream = self._remove(stream_id)
            assert stream
            stream.refuse()

    def _take_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        (size_bytes,) = frames.UINT32.unpack(payload)
        self._outlet.widen(stream_id, size_bytes)
