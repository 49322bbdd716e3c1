"""How a call ends: its reply, or what went wrong, as gRPC tells it."""

from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple, TypeVar

import grpc
from google.rpc import status_pb2

from processor.defects import report_defect
from processor.domain.failures import StorageUnavailable
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.status import CODES, Refused

T = TypeVar("T")

_REPLAYED: Final = (("loyalty-replayed", "true"),)
_STATUS_DETAILS: Final = "grpc-status-details-bin"


class Ending(NamedTuple):
    """The message that is sent if `code` is OK, else the status' text; and the trailing metadata of both."""

    code: grpc.StatusCode
    body: bytes
    message: str
    trailing_metadata: Sequence[tuple[str, str | bytes]]


def ending_of(reply: Reply) -> Ending:
    """A status in the reply is sent as it is."""
    replayed = _REPLAYED if reply.replayed else ()
    if reply.outcome is Outcome.APPLIED:
        return Ending(grpc.StatusCode.OK, reply.body, "", replayed)
    status = status_pb2.Status.FromString(reply.body)
    trailing_metadata = ((_STATUS_DETAILS, reply.body), *replayed)
    return Ending(CODES[status.code], b"", status.message, trailing_metadata)


async def or_refusal(work: Awaitable[T], method: str) -> T | Reply:
    """The result of `work`, or what the till is told instead. Cancellation passes through."""
    try:
        return await work
    except Refused as refused:
        return refused.reply
    except StorageUnavailable:
        return Refused(Outcome.STORAGE_UNAVAILABLE).reply
    except Exception as defect:  # noqa: BLE001 - the till is told so, and never Python's text
        return reply_to_defect(defect, method)


def reply_to_defect(defect: Exception, method: str) -> Reply:
    """Log it; the till is told under which id."""
    request_id = report_defect("call failed", defect, method=method)
    return Refused(Outcome.INTERNAL_ERROR, {"request_id": request_id}).reply
