"""Messages to send: sales as gRPC wants them, one or many of them each."""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from struct import Struct
from typing import Final

from google.protobuf.message import DecodeError

from benchmarks.load.fields import field, tag
from benchmarks.load.frames import PeerError
from benchmarks.load.sales import Sale
from benchmarks.mix import Intent, Mix
from loyalty.v1.operation_pb2 import OperationResult
from loyalty.v1.transaction_service_pb2 import ProcessBatchResponse

# (is compressed, length)
PREFIX: Final = Struct(">BI")
_METHODS: Final = {"accrue": "Accrue", "redeem": "Redeem"}
_KINDS: Final = {"accrue": tag(1, has_length=True), "redeem": tag(2, has_length=True)}
_OPERATIONS: Final = tag(1, has_length=True)


class Message:
    """One message on its way; `due_ns` is when it is to be sent, by perf_counter_ns."""

    __slots__ = ("body", "due_ns", "intents", "method", "missing", "refusals")

    def __init__(self, method: str, body: bytes, intents: Sequence[Intent[Sale]]) -> None:
        self.method = method
        self.body = body
        self.intents = intents
        self.due_ns = 0
        self.missing = len(intents)  # operations that no answer has come to
        self.refusals = 0  # how often no server would look at it


Compose = Callable[[Mix[Sale], int], Message]


def unary(mix: Mix[Sale], _operations: int) -> Message:
    """A call of its own."""
    intent = mix.draw()
    sale = intent.request
    return Message(_METHODS[sale.kind], prefixed(sale.body), (intent,))


def batch(mix: Mix[Sale], operations: int) -> Message:
    """ProcessBatchRequest."""
    return _many("ProcessBatch", mix, operations)


def stream(mix: Mix[Sale], operations: int) -> Message:
    """ProcessStreamRequest, whose bytes are the same."""
    return _many("ProcessStream", mix, operations)


def _many(method: str, mix: Mix[Sale], operations: int) -> Message:
    intents = [mix.draw() for _ in range(operations)]
    sales = [intent.request for intent in intents]
    body = b"".join([field(_OPERATIONS, field(_KINDS[sale.kind], sale.body)) for sale in sales])
    return Message(method, prefixed(body), intents)


def results_of(body: bytes) -> Sequence[OperationResult]:
    """The results in the answer to a batch or a stream. Raises PeerError."""
    try:
        return ProcessBatchResponse.FromString(body).results
    except DecodeError as error:
        raise PeerError(f"an answer that cannot be read: {error}") from None


def prefixed(body: bytes) -> bytes:
    """As a message travels in gRPC."""
    return PREFIX.pack(0, len(body)) + body


def messages(
    compose: Compose, mix: Mix[Sale], message_ops: int, operations: int | None = None
) -> Iterator[Message]:
    """So many operations, or without end; the last message may hold fewer than the others."""
    if operations is None:
        sizes: Iterator[int] = repeat(message_ops)
    else:
        sizes = (min(message_ops, operations - sent) for sent in range(0, operations, message_ops))
    return (compose(mix, size) for size in sizes)
