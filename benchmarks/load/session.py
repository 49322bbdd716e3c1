"""What one process sends: a load, and the session that it is when it is connected."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle
from typing import Final

from benchmarks.load import messages
from benchmarks.load.calls import Calls
from benchmarks.load.desk import Desk
from benchmarks.load.headers import encode
from benchmarks.load.messages import Compose, Message
from benchmarks.load.pace import ClosedLoop, OpenLoop, Pace
from benchmarks.load.pool import Pool
from benchmarks.load.sales import Sales
from benchmarks.load.sender import Sender, Way
from benchmarks.load.streams import Streams
from benchmarks.load.tally import Tally
from benchmarks.load.wire import resolve
from benchmarks.members import Members
from benchmarks.mix import ACCRUALS, REALISTIC, Mix, Shares
from loyalty.v1.transaction_service_pb2 import DESCRIPTOR

SERVICE: Final = DESCRIPTOR.services_by_name["TransactionService"].full_name
_METHODS: Final = ("Accrue", "Redeem", "ProcessBatch")
_STREAM: Final = "ProcessStream"


class Mode(StrEnum):
    """How operations travel."""

    UNARY = "unary"
    BATCH = "batch"
    STREAM = "stream"


class Sent(StrEnum):
    """Which operations."""

    ACCRUE = "accrue"
    REALISTIC = "realistic"


_COMPOSE: Final[Mapping[Mode, Compose]] = {
    Mode.UNARY: messages.unary,
    Mode.BATCH: messages.batch,
    Mode.STREAM: messages.stream,
}
_SHARES: Final[Mapping[Sent, Shares]] = {Sent.ACCRUE: ACCRUALS, Sent.REALISTIC: REALISTIC}


@dataclass(frozen=True)
class Load:
    """What is sent, and how. Without a `rate`, `in_flight` messages are under way all the time.

    With one, so many operations a second arrive by chance, and at most `in_flight` messages are under way.
    Calls have `api_key` and the keys of `further_api_keys` in turn; streams have the first.
    """

    target: str
    api_key: str
    members: int
    zipf_exponent: float = 0.0
    mode: Mode = Mode.UNARY
    message_ops: int = 100
    mix: Sent = Sent.ACCRUE
    connections: int = 4
    in_flight: int = 512
    rate: float | None = None
    timeout_seconds: float = 30.0
    further_api_keys: tuple[str, ...] = ()

    @contextmanager
    def connect(self) -> Iterator["Session"]:
        """A session. Raises UnreachableError."""
        pool = Pool(resolve(self.target), self.connections)
        try:
            pool.settle(self.timeout_seconds)
            yield Session(self, pool)
        finally:
            pool.lose("closed")

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Session"]:
        """The same for those who await it; while it runs, nothing else does."""
        with self.connect() as session:
            yield session

    def blocks(self, method: str) -> Iterator[bytes]:
        """The header blocks of one call after another."""
        return cycle([self.block(method, api_key) for api_key in (self.api_key, *self.further_api_keys)])

    def block(self, method: str, api_key: str) -> bytes:
        """The header block of a call."""
        deadline = [] if method == _STREAM else [("grpc-timeout", f"{self.timeout_seconds * 1_000:.0f}m")]
        return encode(
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", f"/{SERVICE}/{method}"),
                (":authority", self.target),
                ("te", "trailers"),  # codespell:ignore te
                ("content-type", "application/grpc"),
                ("user-agent", "loyalty-load"),
                ("authorization", f"Bearer {api_key}"),
                *deadline,
            ]
        )


class Session:
    """A load that is connected. One run after the other, each with a tally of its own."""

    def __init__(self, load: Load, pool: Pool) -> None:
        self._load = load
        self._pool = pool
        self._mix = Mix(
            Sales(Members(load.members, load.zipf_exponent), with_lines=load.mix is Sent.REALISTIC),
            _SHARES[load.mix],
        )
        self._message_ops = 1 if load.mode is Mode.UNARY else load.message_ops
        self._prepared: list[Message] = []
        self._sender: Sender | None = None
        self.tally = Tally(self._mix)

    def prepare(self, operations: int) -> None:
        """Make ready what the next `run` sends, so many operations of it."""
        self._prepared = list(self._messages(operations))

    async def run(self) -> Counter[str]:
        """Send it all, wait for the answers, and count those that are not as they must be, by reason."""
        prepared, self._prepared = self._prepared, []
        return self._send(
            iter(prepared), self._pace(None), sum(len(message.intents) for message in prepared)
        ).failures

    def send(self, *, operations: int | None = None, seconds: float | None = None) -> Tally:
        """Send so many operations, or for so long; what became of them."""
        return self._send(self._messages(operations), self._pace(seconds), operations or 0)

    def stop(self) -> None:
        """Let the run end before its time."""
        if self._sender:
            self._sender.stop()

    def _messages(self, operations: int | None) -> Iterator[Message]:
        return messages.messages(_COMPOSE[self._load.mode], self._mix, self._message_ops, operations)

    def _pace(self, seconds: float | None) -> Pace:
        load = self._load
        if load.rate:
            return OpenLoop(load.rate / self._message_ops, load.in_flight, seconds)
        return ClosedLoop(load.in_flight, seconds)

    def _send(self, to_send: Iterator[Message], pace: Pace, operations: int) -> Tally:
        self._pool.settle(self._load.timeout_seconds)
        self.tally = Tally(self._mix)
        desk = Desk(self.tally)
        self._sender = Sender(self._pool, self._way(desk), desk, self._load.timeout_seconds)
        self._sender.run(to_send, pace)
        if self._sender.is_cut_off and operations > self.tally.operations:
            self.tally.fail(operations - self.tally.operations, f"never sent: {self._pool.loss}")
        return self.tally

    def _way(self, desk: Desk) -> Way:
        if self._load.mode is Mode.STREAM:
            return Streams(self._pool, self._load.block(_STREAM, self._load.api_key), desk)
        return Calls(self._pool, {method: self._load.blocks(method) for method in _METHODS}, desk)
