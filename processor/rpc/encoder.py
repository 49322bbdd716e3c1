"""The replies that are stored and sent, as bytes of the contract."""

from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1 import operation_pb2
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from processor.rpc.status import status_bytes


class ProtobufEncoder:
    """Implements `processor.ports.Encoder`."""

    def applied(self, operation: Operation) -> bytes:
        """Bytes of loyalty.v1.Operation."""
        message = operation_pb2.Operation(
            idempotency_key=operation.idempotency_key,
            kind=operation_pb2.OperationKind.ValueType(operation.kind),
            member_id=operation.member_id,
            member_sequence=operation.member_sequence,
            earned_points=operation.earned_points,
            redeemed_points=operation.redeemed_points,
            redeemed_minor=operation.redeemed_minor,
            payable_minor=operation.payable_minor,
            balance_points=operation.balance_points,
            program_version=operation.program_version,
            store_id=operation.store_id,
            terminal_id=operation.terminal_id,
            receipt_id=operation.receipt_id,
        )
        _set_time(message.occurred_at, operation.occurred_at_us)
        _set_time(message.recorded_at, operation.recorded_at_us)
        return message.SerializeToString()

    def refused(self, outcome: Outcome, details: Mapping[str, object]) -> bytes:
        """Bytes of google.rpc.Status."""
        return status_bytes(outcome, details)


def _set_time(timestamp: Timestamp, unix_us: int) -> None:
    timestamp.seconds, rest_us = divmod(unix_us, 1_000_000)
    timestamp.nanos = rest_us * 1000
