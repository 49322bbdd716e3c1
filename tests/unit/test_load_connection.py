"""The load generator's HTTP/2, by a peer that says exactly what the test wants it to say."""

import select
import socket
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hpack import Encoder

from benchmarks.load import frames
from benchmarks.load.connection import Connection
from benchmarks.load.headers import Fields, encode
from benchmarks.load.wire import resolve

BLOCK = encode([(":method", "POST"), (":path", "/service/Method")])
ANSWER = encode([(":status", "200")])
TRAILERS = encode([("grpc-status", "0")])


class Peer:
    """The other end of a connection, whose frames are written and read by hand."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        host, port = self._listener.getsockname()
        self.connection = Connection(resolve(f"{host}:{port}"))
        self._socket, _ = self._listener.accept()
        self._socket.settimeout(10)
        self._received = b""
        self.connection.on_writable()
        assert self._receive(len(frames.PREFACE)) == frames.PREFACE

    def close(self) -> None:
        self.connection.lose("closed")
        self._socket.close()
        self._listener.close()

    def hang_up(self) -> None:
        self._socket.close()
        select.select([self.connection], (), (), 10)
        self.connection.read()

    def greet(self, **settings: int) -> None:
        """The SETTINGS that come first, and what the client answers to them."""
        self.say(frames.settings(**settings))
        kinds = [kind for kind, _, _, _ in self.hear(3)]
        assert kinds == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.SETTINGS]

    def say(self, *said: bytes) -> None:
        """Send frames, and let the client read them."""
        data = b"".join(said)
        self._socket.sendall(data)
        while data and not self.connection.wire.loss:
            select.select([self.connection], (), (), 10)
            data = data[self._read() :]

    def _read(self) -> int:
        """How many bytes the client reads."""
        sizes: list[int] = []
        take = self.connection._take

        def counted(data: bytes) -> None:
            sizes.append(len(data) - len(self.connection._unread))
            take(data)

        with patch.object(self.connection, "_take", counted):
            self.connection.read()
        return sum(sizes)

    def hear(self, count: int) -> list[tuple[int, int, int, bytes]]:
        """The next frames of the client: type, flags, stream_id, payload."""
        self.connection.flush()
        return [self._frame() for _ in range(count)]

    def hears_nothing(self) -> bool:
        self.connection.flush()
        self._socket.setblocking(False)
        try:
            return not self._received and not self._socket.recv(1)
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(10)

    def _frame(self) -> tuple[int, int, int, bytes]:
        size_and_kind, flags, stream_id = frames.HEAD.unpack(self._receive(frames.HEAD_BYTES))
        return size_and_kind & 0xFF, flags, stream_id, self._receive(size_and_kind >> 8)

    def _receive(self, size: int) -> bytes:
        while len(self._received) < size:
            self._received += self._socket.recv(65_536)
        data, self._received = self._received[:size], self._received[size:]
        return data


class Witness:
    """A stream that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def take(self, data: bytes) -> None:
        self.told.append(data)

    def end(self, fields: Fields) -> None:
        self.told.append(dict(fields))

    def fail(self, reason: str) -> None:
        self.told.append(reason)

    def refuse(self) -> None:
        self.told.append("refused")


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def headers(stream_id: int, block: bytes, flags: int = 0) -> bytes:
    return frames.frame(frames.HEADERS, frames.END_HEADERS | flags, stream_id, block)


def data(stream_id: int, payload: bytes, flags: int = 0) -> bytes:
    return frames.frame(frames.DATA, flags, stream_id, payload)


def ended(stream_id: int, block: bytes = TRAILERS) -> bytes:
    return headers(stream_id, block, frames.END_STREAM)


def called(peer: Peer, message: bytes = b"message", count: int = 1) -> list[Witness]:
    """Calls that the peer has read."""
    witnesses = [Witness() for _ in range(count)]
    for witness in witnesses:
        peer.connection.call(witness, BLOCK, message)
    peer.hear(2 * count)
    return witnesses


def test_streams_are_opened_once_the_peer_has_said_how_many(peer: Peer) -> None:
    assert not peer.connection.has_room

    peer.greet(max_concurrent_streams=1)
    assert peer.connection.has_room

    [witness] = called(peer)
    assert not peer.connection.has_room
    peer.say(headers(1, ANSWER), data(1, b"answer"), ended(1))

    assert witness.told == [b"answer", {"grpc-status": "0"}]
    assert peer.connection.has_room


def test_a_call_is_one_headers_and_one_data_frame(peer: Peer) -> None:
    peer.greet()
    peer.connection.call(Witness(), BLOCK, b"message")

    assert peer.hear(2) == [
        (frames.HEADERS, frames.END_HEADERS, 1, BLOCK),
        (frames.DATA, frames.END_STREAM, 1, b"message"),
    ]


def test_frames_may_come_in_any_pieces(peer: Peer) -> None:
    peer.greet()
    first, second = called(peer, count=2)
    said = headers(1, ANSWER) + data(3, b"b") + data(1, b"a") + ended(3) + ended(1)

    for place in range(len(said)):
        peer.say(said[place : place + 1])

    assert first.told == [b"a", {"grpc-status": "0"}]
    assert second.told == [b"b", {"grpc-status": "0"}]


def test_padding_priority_and_long_blocks_are_understood(peer: Peer) -> None:
    peer.greet()
    [witness] = called(peer)
    with_priority = frames.END_HEADERS | frames.PADDED | frames.WITH_PRIORITY
    half = len(TRAILERS) // 2

    peer.say(
        frames.frame(frames.HEADERS, with_priority, 1, b"\x03" + b"prior" + ANSWER + b"pad"),
        data(1, b"\x02answer..", frames.PADDED),
        frames.frame(frames.HEADERS, frames.END_STREAM, 1, TRAILERS[:half]),
        frames.frame(frames.CONTINUATION, 0, 1, TRAILERS[half : half + 1]),
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, TRAILERS[half + 1 :]),
    )

    assert witness.told == [b"answer", {"grpc-status": "0"}]


def test_blocks_may_be_huffman_coded_and_name_the_static_table(peer: Peer) -> None:
    peer.greet()
    [witness] = called(peer)
    encoder = Encoder()
    encoder.header_table_size = 0

    peer.say(ended(1, encoder.encode([(":status", "404"), ("grpc-message", "not here")], huffman=True)))

    assert witness.told == [{":status": "404", "grpc-message": "not here"}]


def test_a_block_that_needs_state_breaks_the_connection_in_a_line(peer: Peer) -> None:
    peer.greet()
    [witness] = called(peer)

    peer.say(ended(1, b"\xbe"))  # the first entry of the table that must be empty

    assert peer.connection.wire.loss.startswith("a header block that cannot be read: ")
    assert witness.told == [f"UNAVAILABLE: connection lost: {peer.connection.wire.loss}"]


def test_pings_and_settings_are_acknowledged(peer: Peer) -> None:
    peer.greet()

    peer.say(frames.frame(frames.PING, 0, 0, b"12345678"), frames.settings(max_frame_size=20_000))

    assert peer.hear(2) == [
        (frames.PING, frames.ACK, 0, b"12345678"),
        (frames.SETTINGS, frames.ACK, 0, b""),
    ]


def test_a_message_is_sent_as_far_as_the_windows_of_stream_and_connection_allow(peer: Peer) -> None:
    peer.greet(initial_window_size=10)
    peer.connection.call(Witness(), BLOCK, b"0123456789abcdef")

    assert peer.hear(2)[1] == (frames.DATA, 0, 1, b"0123456789")
    assert peer.hears_nothing()

    peer.say(frames.window_update(1, 4))
    assert peer.hear(1) == [(frames.DATA, 0, 1, b"abcd")]

    peer.say(frames.settings(initial_window_size=12))
    assert peer.hear(2) == [
        (frames.DATA, frames.END_STREAM, 1, b"ef"),
        (frames.SETTINGS, frames.ACK, 0, b""),
    ]


def test_what_no_window_has_room_for_waits_in_order(peer: Peer) -> None:
    peer.greet(initial_window_size=1_000_000, max_frame_size=100_000)
    for letter in (b"a", b"b"):
        peer.connection.call(Witness(), BLOCK, letter * 40_000)

    lengths = [(stream_id, len(payload)) for _, _, stream_id, payload in peer.hear(4)]
    assert lengths == [(1, len(BLOCK)), (1, 40_000), (3, len(BLOCK)), (3, 25_535)]

    peer.say(frames.window_update(0, 20_000))
    assert peer.hear(1) == [(frames.DATA, frames.END_STREAM, 3, b"b" * 14_465)]


def test_a_frame_is_not_longer_than_the_peer_takes(peer: Peer) -> None:
    peer.greet()
    peer.connection.call(Witness(), BLOCK, b"a" * 20_000)

    sizes = [(len(payload), flags) for _, flags, _, payload in peer.hear(3)[1:]]

    assert sizes == [(frames.FRAME_BYTES_MAX, 0), (20_000 - frames.FRAME_BYTES_MAX, frames.END_STREAM)]


def test_a_stream_takes_messages_until_it_is_closed(peer: Peer) -> None:
    peer.greet()
    witness = Witness()
    stream_id = peer.connection.open(witness, BLOCK)
    peer.connection.send(stream_id, b"one")
    peer.connection.send(stream_id, b"two")
    peer.connection.send(stream_id, b"", ends=True)

    assert [(flags, payload) for _, flags, _, payload in peer.hear(4)[1:]] == [
        (0, b"one"),
        (0, b"two"),
        (frames.END_STREAM, b""),
    ]
    peer.say(ended(stream_id))
    assert witness.told == [{"grpc-status": "0"}]


def test_what_was_read_is_given_back_to_the_peer(peer: Peer) -> None:
    peer.greet()
    called(peer)
    piece = data(1, b"x" * frames.FRAME_BYTES_MAX)
    pieces = 64 * 1024 * 1024 // frames.FRAME_BYTES_MAX + 1

    for _ in range(pieces):
        peer.say(piece)

    given = frames.UINT32.pack(pieces * frames.FRAME_BYTES_MAX)
    assert peer.hear(1) == [(frames.WINDOW_UPDATE, 0, 0, given)]


@pytest.mark.parametrize(
    "code, told",
    [
        (frames.ErrorCode.REFUSED_STREAM, "refused"),
        (frames.ErrorCode.CANCEL, "stream reset: CANCEL"),
        (99, "stream reset: error 99"),
    ],
)
def test_a_reset_ends_one_stream(peer: Peer, code: int, told: str) -> None:
    peer.greet()
    first, second = called(peer, count=2)

    peer.say(frames.frame(frames.RST_STREAM, 0, 1, frames.UINT32.pack(code)), ended(3))

    assert first.told == [told]
    assert second.told == [{"grpc-status": "0"}]


def test_nothing_more_is_sent_of_a_stream_that_the_peer_ended_early(peer: Peer) -> None:
    peer.greet(initial_window_size=4)
    witness = Witness()
    peer.connection.call(witness, BLOCK, b"message")
    peer.hear(2)

    peer.say(ended(1), frames.window_update(1, 100))

    assert peer.hears_nothing()
    assert witness.told == [{"grpc-status": "0"}]


def test_a_goaway_gives_back_the_streams_that_the_peer_has_not_looked_at(peer: Peer) -> None:
    peer.greet()
    first, second = called(peer, count=2)

    peer.say(frames.frame(frames.GOAWAY, 0, 0, frames.HEAD_OF_GOAWAY.pack(1, 0) + b"age"))

    assert (first.told, second.told) == ([], ["refused"])
    assert not peer.connection.has_room
    peer.say(ended(1))
    assert first.told == [{"grpc-status": "0"}]


def test_a_connection_that_breaks_says_why(peer: Peer) -> None:
    peer.greet()
    [witness] = called(peer)

    peer.say(frames.frame(frames.GOAWAY, 0, 0, frames.HEAD_OF_GOAWAY.pack(1, 11) + b"too_many_pings"))
    peer.hang_up()

    assert witness.told == [
        "UNAVAILABLE: connection lost: GOAWAY ENHANCE_YOUR_CALM too_many_pings",
    ]


def test_the_last_stream_id_is_the_connections_last(peer: Peer) -> None:
    peer.greet()
    peer.connection._next_stream_id = frames.STREAM_ID_MAX
    peer.connection.call(Witness(), BLOCK, b"message")

    assert not peer.connection.has_room
    assert peer.hear(1)[0][2] == frames.STREAM_ID_MAX
