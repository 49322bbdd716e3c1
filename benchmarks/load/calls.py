"""Messages as calls of their own, an HTTP/2 stream each."""

from collections.abc import Iterator, Mapping

from google.rpc import code_pb2

from benchmarks.answers import Answer
from benchmarks.load.desk import Desk
from benchmarks.load.frames import PeerError
from benchmarks.load.grpc_status import answer_of_call
from benchmarks.load.headers import Fields
from benchmarks.load.messages import PREFIX, Message, results_of
from benchmarks.load.pool import Pool


class Calls:
    """Sends each message to the next connection that has room, with the next header block of its method."""

    def __init__(self, pool: Pool, blocks: Mapping[str, Iterator[bytes]], desk: Desk) -> None:
        self._pool = pool
        self._blocks = blocks
        self._desk = desk

    def send(self, message: Message) -> bool:
        """Whether there was room for it."""
        for connection in self._pool.by_turns():
            if connection.has_room:
                call = _BatchCall if message.method == "ProcessBatch" else _UnaryCall
                block = next(self._blocks[message.method])
                connection.call(call(message, self._desk), block, message.body)
                return True
        return False

    def close(self) -> None:
        """Every call ends by itself."""


class _UnaryCall:
    """One operation; as `connection.Stream`."""

    __slots__ = ("_desk", "_message", "_received")

    def __init__(self, message: Message, desk: Desk) -> None:
        self._message = message
        self._desk = desk
        self._received = b""

    def take(self, data: bytes) -> None:
        self._received += data

    def end(self, fields: Fields) -> None:
        self._settle(answer_of_call(self._received[PREFIX.size :], fields))

    def _settle(self, answer: Answer) -> None:
        self._desk.tally.count(self._message.intents[0], answer)
        self._desk.finish(self._message)

    def fail(self, reason: str) -> None:
        self._desk.fail(self._message, reason)

    def refuse(self) -> None:
        self._desk.send_again(self._message)


class _BatchCall(_UnaryCall):
    """Many operations, whose results come in order."""

    __slots__ = ()

    def _settle(self, answer: Answer) -> None:
        if answer.code != code_pb2.OK:
            self._desk.fail(self._message, answer.reason())
            return
        try:
            results = results_of(answer.body)
        except PeerError as error:
            self._desk.fail(self._message, str(error))
            return
        for intent, result in zip(self._message.intents, results, strict=False):
            if result.idempotency_key == intent.request.key:
                self._desk.take_result(self._message, intent, result)
        if self._message.missing:
            self._desk.fail(self._message, "no result of its own")
        else:
            self._desk.finish(self._message)
