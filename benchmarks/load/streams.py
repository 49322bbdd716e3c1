"""Messages into streams that stay open, one on each connection."""

from typing import Final

from benchmarks.load.connection import Connection
from benchmarks.load.desk import Desk
from benchmarks.load.grpc_status import reason_of_end
from benchmarks.load.headers import Fields
from benchmarks.load.messages import PREFIX, Message, results_of
from benchmarks.load.pool import Pool
from benchmarks.load.sales import Sale
from benchmarks.mix import Intent

# Given back to the peer when so much of a stream was read.
_CREDIT_BYTES: Final = 16 * 1024 * 1024


class Streams:
    """Sends each message into the next stream; opens one wherever there is none."""

    def __init__(self, pool: Pool, block: bytes, desk: Desk) -> None:
        self._pool = pool
        self._block = block
        self._desk = desk
        self._open: dict[Connection, _OpenStream] = {}

    def send(self, message: Message) -> bool:
        """Whether there was a stream for it."""
        self._let_go()
        for connection in self._pool.by_turns():
            if connection.has_room and connection not in self._open:
                self._open[connection] = _OpenStream(connection, self._block, self._desk)
            if connection.is_usable and connection in self._open:
                self._open[connection].send(message)
                return True
        return False

    def _let_go(self) -> None:
        """Close our side of the streams whose connections are leaving, once all answers have come."""
        for connection, stream in list(self._open.items()):
            if stream.is_over or (connection.is_leaving and stream.close_if_idle()):
                del self._open[connection]

    def close(self) -> None:
        """Close our side of every stream: all answers have come."""
        for stream in self._open.values():
            stream.close_if_idle()
        self._open.clear()


class _OpenStream:
    """A ProcessStream call, and the operations under way in it by key; as `connection.Stream`."""

    def __init__(self, connection: Connection, block: bytes, desk: Desk) -> None:
        self._connection = connection
        self._desk = desk
        self._stream_id = connection.open(self, block)
        self._under_way: dict[str, tuple[Message, Intent[Sale]]] = {}
        self._received = b""
        self._received_bytes = 0
        self.is_over = False

    def send(self, message: Message) -> None:
        """Send a message."""
        for intent in message.intents:
            self._under_way[intent.request.key] = (message, intent)
        self._connection.send(self._stream_id, message.body)

    def close_if_idle(self) -> bool:
        """Close our side if nothing is under way; whether it is closed."""
        if self._under_way:
            return False
        if not self.is_over:
            self._connection.send(self._stream_id, b"", ends=True)
        return True

    def take(self, data: bytes) -> None:
        self._received += data
        self._received_bytes += len(data)
        if self._received_bytes > _CREDIT_BYTES:
            self._connection.credit(self._stream_id, self._received_bytes)
            self._received_bytes = 0
        while len(self._received) >= PREFIX.size:
            _, size = PREFIX.unpack_from(self._received)
            if len(self._received) < PREFIX.size + size:
                break
            self._take_message(self._received[PREFIX.size : PREFIX.size + size])
            self._received = self._received[PREFIX.size + size :]

    def _take_message(self, body: bytes) -> None:
        for result in results_of(body):
            found = self._under_way.pop(result.idempotency_key, None)
            if found is None:
                self._desk.tally.fail(1, "result that nobody waits for")
                continue
            message, intent = found
            self._desk.take_result(message, intent, result)
            if message.missing == 0:
                self._desk.finish(message)

    def end(self, fields: Fields) -> None:
        self.fail(reason_of_end(fields) or "the stream ended before its answers")

    def fail(self, reason: str) -> None:
        for message in self._unfinished():
            self._desk.fail(message, reason)

    def refuse(self) -> None:
        for message in self._unfinished():
            self._desk.send_again(message)

    def _unfinished(self) -> list[Message]:
        """Messages that results are missing of; the stream is over."""
        self.is_over = True
        messages = list(dict.fromkeys(message for message, _ in self._under_way.values()))
        self._under_way.clear()
        return messages
