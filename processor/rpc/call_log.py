"""One line of the log for a call: what was asked of which chain, and what became of it."""

from collections.abc import Iterable
from typing import Final

import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from processor.domain.outcomes import Outcome
from processor.rpc.metrics import ObservedCall

LEVELS: Final = ("none", "failures", "all")
_APPLIED: Final = Outcome.APPLIED.name

log = structlog.get_logger()


class CallLog:
    """Writes the lines of one method."""

    def __init__(self, descriptor: MethodDescriptor, level: str) -> None:
        """`level` is one of LEVELS; "failures" are calls that did not end with OK."""
        self._method = descriptor.name
        self._request_type: type[Message] | None = None
        if "idempotency_key" in descriptor.input_type.fields_by_name:
            self._request_type = GetMessageClass(descriptor.input_type)
        self._writes = {"none": (), "failures": (False,), "all": (False, True)}[level]

    def note(self, calls: Iterable[ObservedCall], ended: float) -> None:
        """Write a line for each call of those that are logged. `ended` is the time by `perf_counter`."""
        if not self._writes:
            return
        for call in calls:
            if (call.ending.outcome == _APPLIED) in self._writes:
                self._write(call, ended - call.started)

    def _write(self, call: ObservedCall, seconds: float) -> None:
        """Cards and members are never named."""
        log.info(
            "call",
            method=self._method,
            chain=call.chain,
            outcome=call.ending.outcome,
            key=self._key(call.request),
            request_id=next((value for name, value in call.metadata if name == "x-request-id"), None),
            milliseconds=round(seconds * 1000, 2),
        )

    def _key(self, data: bytes) -> str | None:
        if self._request_type is None or not data:
            return None
        try:
            message = self._request_type.FromString(data)
        except DecodeError:
            return None
        return str(getattr(message, "idempotency_key"))  # noqa: B009 (the type is known at run time only)
