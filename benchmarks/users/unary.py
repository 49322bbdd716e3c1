"""A till that sends each operation as a call of its own."""

from typing import Any, Final

import grpc
from locust import task

from benchmarks.answers import Answer
from benchmarks.mix import Intent
from benchmarks.users.answers import answer_of_error, answer_of_reply
from benchmarks.users.till import SERVICE, TIMEOUT_SECONDS, TillUser
from loyalty.v1.transaction_service_pb2 import OperationRequest

_METHODS: Final = {"accrue": "Accrue", "redeem": "Redeem"}


class UnaryUser(TillUser):
    """Accrue and Redeem."""

    def on_start(self) -> None:
        """Connect."""
        super().on_start()
        self._calls: dict[str, Any] = {
            kind: self.channel.unary_unary(f"/{SERVICE}/{method}") for kind, method in _METHODS.items()
        }

    @task
    def operation(self) -> None:
        """One call."""
        intent = self.mix.draw()
        kind = str(intent.request.WhichOneof("request"))
        message = getattr(intent.request, kind).SerializeToString()
        started = self.begin(operations=1)
        answer = self._answer(kind, message)
        self.report(_name(kind, intent), started, len(answer.body), [self.mix.fault(intent, answer)])

    def _answer(self, kind: str, message: bytes) -> Answer:
        try:
            body, call = self._calls[kind].with_call(message, metadata=self.metadata, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return answer_of_error(error)
        return answer_of_reply(body, call)


def _name(kind: str, intent: Intent[OperationRequest]) -> str:
    return f"{_METHODS[kind]} (repeat)" if intent.original else _METHODS[kind]
