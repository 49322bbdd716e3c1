"""A till that keeps a stream open and sends its operations into it."""

import queue
from collections.abc import Sequence
from typing import Any

import grpc
from locust import task

from benchmarks.answers import answer_of_result
from benchmarks.mix import Intent
from benchmarks.requests import idempotency_key
from benchmarks.users.answers import answer_of_error
from benchmarks.users.till import TillUser
from loyalty.v1.transaction_service_pb2 import (
    OperationRequest,
    ProcessStreamRequest,
    ProcessStreamResponse,
)
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub


class StreamUser(TillUser):
    """ProcessStream, a message at a time."""

    def on_start(self) -> None:
        """Connect."""
        super().on_start()
        self._open()

    def on_stop(self) -> None:
        """Close the stream in order."""
        self._outgoing.put(None)

    def _open(self) -> None:
        self._outgoing: queue.Queue[ProcessStreamRequest | None] = queue.Queue()
        stub = TransactionServiceStub(self.channel)
        messages = iter(self._outgoing.get, None)
        self._responses: Any = stub.ProcessStream(messages, metadata=self.metadata)

    @task
    def message(self) -> None:
        """One message, and all of its answers."""
        intents = [self.mix.draw() for _ in range(self.message_ops)]
        started = self.begin(self.message_ops)
        self._outgoing.put(ProcessStreamRequest(operations=[intent.request for intent in intents]))
        try:
            responses = self._receive(len(intents))
        except grpc.RpcError as error:
            self.report("ProcessStream", started, 0, [answer_of_error(error).reason()])
            self._open()
            return
        length = sum(response.ByteSize() for response in responses)
        self.report("ProcessStream", started, length, self._faults(intents, responses))

    def _receive(self, operations: int) -> list[ProcessStreamResponse]:
        """Responses that hold so many results together. Raises grpc.RpcError."""
        responses: list[ProcessStreamResponse] = []
        while operations > 0:
            response = next(self._responses)
            responses.append(response)
            operations -= len(response.results)
        return responses

    def _faults(
        self, intents: Sequence[Intent[OperationRequest]], responses: Sequence[ProcessStreamResponse]
    ) -> list[str]:
        """Results come in any order; a key occurs twice only where a repeat is sent twice."""
        by_key = {idempotency_key(intent.request): intent for intent in intents}
        return [
            self.mix.fault(by_key[result.idempotency_key], answer_of_result(result))
            for response in responses
            for result in response.results
        ]
