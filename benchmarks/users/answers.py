"""What came back over gRPC's blocking interface, which is the one that Locust can use."""

from typing import Any

import grpc
from google.rpc import code_pb2, status_pb2

from benchmarks.answers import Answer


def answer_of_reply(body: bytes, call: grpc.Call) -> Answer:
    """The answer that an applied operation is."""
    return Answer(code_pb2.OK, body, _is_replayed(_trailers(call)))


def answer_of_error(error: grpc.RpcError) -> Answer:
    """The answer that a failed call is, whether the service or the connection failed it."""
    call: Any = error  # a failed call is its own error
    code = call.code().value[0]
    trailers = _trailers(call)
    bare = status_pb2.Status(code=code, message=call.details() or "")
    body = trailers.get("grpc-status-details-bin") or bare.SerializeToString()
    assert isinstance(body, bytes)
    return Answer(code, body, _is_replayed(trailers))


def _trailers(call: grpc.Call) -> dict[str, str | bytes]:
    return dict(call.trailing_metadata() or ())


def _is_replayed(trailers: dict[str, str | bytes]) -> bool:
    return trailers.get("loyalty-replayed") == "true"
