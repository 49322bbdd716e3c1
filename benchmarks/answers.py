"""What came back for one operation, the same for every way of sending it."""

from typing import Final, NamedTuple

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from loyalty.v1.operation_pb2 import Operation, OperationResult

# The till does not know what became of its call, or is asked to come again: it repeats it unchanged.
_TRANSIENT: Final = {code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.RESOURCE_EXHAUSTED}


class Answer(NamedTuple):
    """`body` is a serialized Operation if `code` is OK, else a serialized google.rpc.Status."""

    code: int
    body: bytes
    replayed: bool

    @property
    def is_transient(self) -> bool:
        return self.code in _TRANSIENT

    def operation(self) -> Operation:
        return Operation.FromString(self.body)

    def reason(self) -> str:
        """The ErrorInfo's reason; "" if the operation was applied, the bare status if there is none."""
        if self.code == code_pb2.OK:
            return ""
        info = error_details_pb2.ErrorInfo()
        status = self._detail(info)
        return info.reason or f"{code_pb2.Code.Name(self.code)}: {status.message}"

    def retry_delay_seconds(self) -> float:
        """The delay that the service asks for; 0 if it names none."""
        info = error_details_pb2.RetryInfo()
        self._detail(info)
        delay: float = info.retry_delay.ToTimedelta().total_seconds()
        return delay

    def _detail(self, detail: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> status_pb2.Status:
        status = status_pb2.Status.FromString(self.body)
        for packed in status.details:
            if packed.Unpack(detail):
                break
        return status


def answer_of_result(result: OperationResult) -> Answer:
    """The answer that an item of a batch or stream is."""
    if result.HasField("operation"):
        return Answer(code_pb2.OK, result.operation.SerializeToString(deterministic=True), result.replayed)
    return Answer(result.error.code, result.error.SerializeToString(deterministic=True), result.replayed)


def answer_of_error(error: grpc.aio.AioRpcError) -> Answer:
    """The answer that a failed call is, whether the service or the connection failed it."""
    code = error.code().value[0]
    trailers = error.trailing_metadata()
    bare = status_pb2.Status(code=code, message=error.details() or "")
    body = trailers.get("grpc-status-details-bin") or bare.SerializeToString()
    assert isinstance(body, bytes)
    return Answer(code, body, is_replayed(trailers))


def is_replayed(trailers: grpc.aio.Metadata) -> bool:
    """Whether the trailing metadata of a call says that it was a repeat."""
    return trailers.get("loyalty-replayed") == "true"
