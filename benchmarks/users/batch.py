"""A till that gathers operations and sends them in one call."""

import grpc
from locust import task

from benchmarks.answers import answer_of_result
from benchmarks.users.answers import answer_of_error
from benchmarks.users.till import TIMEOUT_SECONDS, TillUser
from loyalty.v1.transaction_service_pb2 import ProcessBatchRequest
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub


class BatchUser(TillUser):
    """ProcessBatch."""

    def on_start(self) -> None:
        """Connect."""
        super().on_start()
        self._stub = TransactionServiceStub(self.channel)

    @task
    def batch(self) -> None:
        """One call."""
        intents = [self.mix.draw() for _ in range(self.message_ops)]
        message = ProcessBatchRequest(operations=[intent.request for intent in intents])
        started = self.begin(self.message_ops)
        try:
            response = self._stub.ProcessBatch(message, metadata=self.metadata, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            self.report("ProcessBatch", started, 0, [answer_of_error(error).reason()])
            return
        answers = map(answer_of_result, response.results)
        faults = list(map(self.mix.fault, intents, answers))
        self.report("ProcessBatch", started, response.ByteSize(), faults)
