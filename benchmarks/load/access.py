"""Whether a load can be sent at all: asked once, so that the answer is one line."""

import time
from typing import Final

from google.rpc import code_pb2, status_pb2

from benchmarks.load.grpc_status import answer_of_call
from benchmarks.load.headers import Fields
from benchmarks.load.messages import prefixed
from benchmarks.load.pool import Pool
from benchmarks.load.session import Load
from benchmarks.load.wire import UnreachableError, resolve
from loyalty.v1.transaction_service_pb2 import GetBalanceRequest

_METHOD: Final = "GetBalance"
_TIMEOUT_SECONDS: Final = 5


class AccessError(Exception):
    """One line: why the load cannot be sent."""


def check_access(load: Load) -> None:
    """Ask for the balance of the last member. Raises AccessError."""
    question = _Question()
    try:
        pool = Pool(resolve(load.target), 1)
        pool.settle(_TIMEOUT_SECONDS)
    except UnreachableError as error:
        raise AccessError(f"{load.target}: {error}") from None
    [connection] = pool.by_turns()
    message = prefixed(GetBalanceRequest(member_id=load.members).SerializeToString())
    connection.call(question, load.block(_METHOD, load.api_key), message)
    deadline = time.perf_counter() + _TIMEOUT_SECONDS
    while pool.has_streams and time.perf_counter() < deadline:
        pool.flush()
        pool.wait(_TIMEOUT_SECONDS, lambda: None)
    pool.lose(f"no answer in {_TIMEOUT_SECONDS} seconds")
    if question.fault:
        raise AccessError(f"{load.target}: asked for the balance of member {load.members}: {question.fault}")


class _Question:
    """As `connection.Stream`."""

    def __init__(self) -> None:
        self.fault = ""

    def take(self, data: bytes) -> None:
        """The balance does not matter."""

    def end(self, fields: Fields) -> None:
        answer = answer_of_call(b"", fields)
        if answer.code != code_pb2.OK:
            status = status_pb2.Status.FromString(answer.body)
            self.fault = f"{code_pb2.Code.Name(answer.code)}: {status.message}"

    def fail(self, reason: str) -> None:
        self.fault = reason

    def refuse(self) -> None:
        self.fault = "the server takes no calls"
