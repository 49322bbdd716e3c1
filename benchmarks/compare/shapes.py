"""How operations are put into messages: one or many each."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from google.rpc import code_pb2

from benchmarks.requests import Requests
from loyalty.v1.transaction_service_pb2 import OperationRequest, ProcessBatchRequest, ProcessBatchResponse

BASKET_LINES: Final = 30


class Shape(NamedTuple):
    """`operations` a message; bytes both ways, as tills' languages differ.

    `faults` gives the reason of every operation of a reply that was not applied anew, beginning with the name
    of its status if it has one.
    """

    method: str
    operations: int
    encode: Callable[[Requests, int], bytes]
    faults: Callable[[bytes], Iterator[str]]

    def messages(self, requests: Requests, operations: int) -> list[bytes]:
        """So many operations; the last message may hold fewer than the others."""
        whole, rest = divmod(operations, self.operations)
        sizes = [self.operations] * whole + [rest] * bool(rest)
        return [self.encode(requests, size) for size in sizes]


def _encode_accrual(requests: Requests, _: int) -> bytes:
    return requests.accrue().SerializeToString()


def _encode_checkout(lines: int, requests: Requests, _: int) -> bytes:
    return requests.checkout(lines).SerializeToString()


def _encode_many(requests: Requests, operations: int) -> bytes:
    """ProcessBatchRequest; the bytes of a ProcessStreamRequest are the same."""
    accruals = [OperationRequest(accrue=requests.accrue()) for _ in range(operations)]
    return ProcessBatchRequest(operations=accruals).SerializeToString()


def _no_faults(_: bytes) -> Iterator[str]:
    return iter(())


def _faults_of_many(reply: bytes) -> Iterator[str]:
    for result in ProcessBatchResponse.FromString(reply).results:
        if result.replayed:
            yield "replayed"
        elif not result.HasField("operation"):
            yield f"{code_pb2.Code.Name(result.error.code)} {result.error.message}"


ACCRUE: Final = Shape("Accrue", 1, _encode_accrual, _no_faults)


def checkout_of(lines: int) -> Shape:
    """Checkout of a receipt with so many lines."""
    return Shape("Checkout", 1, partial(_encode_checkout, lines), _no_faults)


CHECKOUT: Final = checkout_of(BASKET_LINES)


def batch_of(operations: int) -> Shape:
    """ProcessBatch of so many operations."""
    return Shape("ProcessBatch", operations, _encode_many, _faults_of_many)


def stream_of(operations: int) -> Shape:
    """ProcessStream with so many operations a message."""
    return Shape("ProcessStream", operations, _encode_many, _faults_of_many)
