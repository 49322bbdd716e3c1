"""What every kind of user has: a connection, a mix of calls, and a way to tell Locust what came back."""

from collections.abc import Iterable
from functools import cache
from itertools import count
from time import perf_counter
from typing import Final

from locust import User

from benchmarks.members import Members
from benchmarks.mix import Mix
from benchmarks.requests import Requests
from benchmarks.users.access import channel
from benchmarks.users.arrivals import Arrivals
from loyalty.v1.transaction_service_pb2 import DESCRIPTOR, OperationRequest

SERVICE: Final = DESCRIPTOR.services_by_name["TransactionService"].full_name
TIMEOUT_SECONDS: Final = 30
_numbers: Final = count()


class TillUser(User):
    """A till that sends its next call as soon as the last one is answered or, with --rate, when it is due."""

    abstract = True

    def on_start(self) -> None:
        """Connect."""
        options = self.environment.parsed_options
        assert options
        self.message_ops: int = options.message_ops
        self._operations_per_second = options.rate / (options.num_users or 1)
        self._arrivals: Arrivals | None = None
        self.metadata = (("authorization", f"Bearer {options.api_key}"),)
        self.channel = channel(str(self.environment.host), next(_numbers) % options.connections, options)
        self.mix = Mix(_Operations(_members(options.members, options.zipf)))

    def begin(self, operations: int) -> float:
        """Wait until a call with so many operations is due; returns since when its time counts."""
        if not self._operations_per_second:
            return perf_counter()
        if self._arrivals is None:
            self._arrivals = Arrivals(self._operations_per_second / operations)
        return self._arrivals.wait()

    def report(self, name: str, started: float, length: int, faults: Iterable[str]) -> None:
        """Tell Locust of a call that `begin` returned `started` for, with `length` bytes come back."""
        different = sorted({fault for fault in faults if fault})
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=(perf_counter() - started) * 1_000,
            response_length=length,
            exception=UnexpectedAnswerError(", ".join(different)) if different else None,
            context={},
        )


class UnexpectedAnswerError(Exception):
    """An answer that no till should get from a service that is well."""


class _Operations:
    """As `benchmarks.mix.Source`."""

    def __init__(self, members: Members) -> None:
        self._requests = Requests(members, with_lines=True)

    def accrue(self) -> OperationRequest:
        return OperationRequest(accrue=self._requests.accrue())

    def redeem(self) -> OperationRequest:
        return OperationRequest(redeem=self._requests.redeem())


@cache
def _members(number: int, zipf_exponent: float) -> Members:
    return Members(number, zipf_exponent)
