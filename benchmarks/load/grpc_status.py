"""How a gRPC call ended, by the fields that it ends with."""

from base64 import b64decode
from urllib.parse import unquote

from google.rpc import code_pb2, status_pb2

from benchmarks.answers import Answer
from benchmarks.load.headers import Fields

_OK = "0"


def answer_of_call(body: bytes, fields: Fields) -> Answer:
    """The answer that a unary call is; `body` is its message, if it has one."""
    if fields.get("grpc-status") == _OK:
        return Answer(code_pb2.OK, body, "loyalty-replayed" in fields)
    return Answer(*_status(fields), "loyalty-replayed" in fields)


def reason_of_end(fields: Fields) -> str:
    """Why a call ended; "" if in order."""
    return answer_of_call(b"", fields).reason()


def _status(fields: Fields) -> tuple[int, bytes]:
    """The code, and a serialized google.rpc.Status."""
    if "grpc-status" not in fields:
        message = f"HTTP {fields.get(':status', '-')} without a gRPC status"
        return code_pb2.UNKNOWN, _bare_status(code_pb2.UNKNOWN, message)
    code = int(fields["grpc-status"])
    details = b64decode(fields.get("grpc-status-details-bin", "") + "==")
    return code, details or _bare_status(code, unquote(fields.get("grpc-message", "")))


def _bare_status(code: int, message: str) -> bytes:
    bare: bytes = status_pb2.Status(code=code, message=message).SerializeToString()
    return bare
