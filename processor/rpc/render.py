"""What the ledger has recorded, as plain data for people and for machines."""

from typing import Any

import google.rpc.error_details_pb2  # noqa: F401 - makes the types known that a status may hold
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from loyalty.v1.operation_pb2 import OperationResult
from processor.domain.operation import Recorded
from processor.domain.outcomes import Outcome


def recorded_as_dict(idempotency_key: str, recorded: Recorded) -> dict[str, Any]:
    """The same JSON as that of `GetOperation`: 64-bit integers are texts, as protobuf has it."""
    result = OperationResult(idempotency_key=idempotency_key, replayed=True)
    if recorded.outcome is Outcome.APPLIED:
        result.operation.MergeFromString(recorded.response)
        return _as_dict(result) | {"operation": _as_dict(result.operation)}
    result.error.MergeFromString(recorded.response)
    return _as_dict(result)


def _as_dict(message: Message) -> dict[str, Any]:
    """Zeros included, in the order of the contract, which protobuf's own JSON does not keep."""
    fields = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return {field.name: fields[field.name] for field in message.DESCRIPTOR.fields if field.name in fields}
