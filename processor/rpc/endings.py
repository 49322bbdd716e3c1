"""How a call ends: its reply, or what went wrong, as gRPC tells it."""

from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple, TypeVar

import grpc
from google.rpc import status_pb2

from processor.defects import report_defect
from processor.domain.failures import StorageUnavailable
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.status import Refused

T = TypeVar("T")

# Codes are numbers here: a member of an enumeration takes long to be looked up, and to be hashed.
OK: Final[int] = grpc.StatusCode.OK.value[0]
CANCELLED: Final[int] = grpc.StatusCode.CANCELLED.value[0]

_REPLAYED: Final = (("loyalty-replayed", "true"),)
_STATUS_DETAILS: Final = "grpc-status-details-bin"


class Ending(NamedTuple):
    """The status of a call and its trailing metadata; if the code is OK, the reply's body is sent too."""

    code: int
    outcome: str
    message: str
    trailing_metadata: Sequence[tuple[str, str | bytes]]


_APPLIED: Final = Outcome.APPLIED
_ENDING_OF_APPLIED: Final = Ending(OK, _APPLIED.name, "", ())
_ENDING_OF_REPLAYED: Final = _ENDING_OF_APPLIED._replace(trailing_metadata=_REPLAYED)
# For calls that nobody waits for any more.
ENDING_OF_CANCELLED: Final = Ending(CANCELLED, "CANCELLED", "", ())


def ending_of(reply: Reply) -> Ending:
    """A status in the reply is sent as it is."""
    if reply.outcome is _APPLIED:
        return _ENDING_OF_REPLAYED if reply.replayed else _ENDING_OF_APPLIED
    status = status_pb2.Status.FromString(reply.body)
    replayed = _REPLAYED if reply.replayed else ()
    return Ending(status.code, reply.outcome.name, status.message, ((_STATUS_DETAILS, reply.body), *replayed))


# For calls that there is no place for.
QUEUE_FULL: Final = ending_of(Refused(Outcome.QUEUE_FULL).reply)


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
