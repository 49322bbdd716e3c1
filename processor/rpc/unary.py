"""A unary method from credentials to status; a transport brings the call and takes the ending away."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

import grpc

from processor.call import CallGroup
from processor.domain.chain import ApiKey
from processor.ports import Reply
from processor.rpc.admission import Admission
from processor.rpc.authentication import Metadata
from processor.rpc.endings import Ending, ending_of, or_refusal
from processor.rpc.metrics import CallMetrics
from processor.rpc.observation import Observer
from processor.rpc.writes import WriteMethod
from processor.tracing import Span

# (caller, request, deadline) -> reply; the deadline is in the event loop's seconds, or infinite.
Work = Callable[[ApiKey, bytes, float], Awaitable[Reply]]


class UnaryMethod:
    """One method of the contract."""

    def __init__(self, work: Work, admission: Admission, observer: Observer) -> None:
        self._work = work
        self._admission = admission
        self.observer = observer

    async def answer(
        self,
        metadata: Metadata,
        receive: Callable[[], Awaitable[bytes]],
        deadline: float,
        span: AbstractContextManager[Span],
    ) -> Ending:
        """Handle a call. `receive` gives its message, or raises Refused; nothing else is raised from here."""
        with self.observer.call(metadata, span) as call:
            work = self._reply(call, metadata, receive, deadline)
            return self.end(call, await or_refusal(work, self.observer.method))

    async def _reply(
        self,
        call: CallMetrics,
        metadata: Metadata,
        receive: Callable[[], Awaitable[bytes]],
        deadline: float,
    ) -> Reply:
        with self._admission.places:
            # A caller that is known costs no coroutine.
            caller = self._admission.known_caller(metadata) or await self._admission.caller(metadata)
            call.chain = self._admission.chain_name(caller)
            # Not before the key is known: where the transport can wait, a stranger's message takes no memory.
            call.request = await receive()
            self.observer.metrics.note_received()
            self._admission.check(call.request)
            return await self._work(caller, call.request, deadline)

    def end(self, call: CallMetrics, reply: Reply) -> Ending:
        """The ending that a reply means, noted."""
        ending = ending_of(reply)
        call.end(ending.code, reply.outcome.name)
        if ending.code is grpc.StatusCode.OK:
            self.observer.metrics.note_sent()
        return ending

    def start(self, metadata: Metadata, data: bytes, deadline: float) -> "StartedCall | None":
        """Begin a call without waiting for anything, untraced: a write of a known caller, of a known member.

        None, and nothing has happened, if the call is another one or must be refused: `answer` does that.
        """
        caller = self._admission.known_caller(metadata)
        if caller is None or not isinstance(self._work, WriteMethod) or not self._admission.places.free:
            return None
        try:
            self._admission.check(data)
            chain = self._admission.chain_name(caller)
            group = self._work.start(caller, data, deadline)
        except Exception:  # noqa: BLE001 - to be met again, and told, by `answer`
            return None
        if group is None:
            return None
        self._admission.places.take()
        call = self.observer.metrics.begin()
        call.chain, call.request = chain, data
        self.observer.metrics.note_received()
        return StartedCall(self, self._admission, call, metadata, group)


class StartedCall:
    """A call that waits for the batcher alone; whoever waits for `group.done` calls `finish` then, once."""

    __slots__ = ("_admission", "_call", "_metadata", "_method", "group")

    def __init__(
        self,
        method: UnaryMethod,
        admission: Admission,
        call: CallMetrics,
        metadata: Metadata,
        group: CallGroup,
    ) -> None:
        self._method = method
        self._admission = admission
        self._call = call
        self._metadata = metadata
        self.group = group

    def finish(self) -> Ending | None:
        """The ending of the call; None if it was cancelled."""
        self._admission.places.give_back()
        reply = None if self.group.done.cancelled() else self.group.calls[0].reply
        ending = self._method.end(self._call, reply) if reply else None
        self._method.observer.finish(self._call, self._metadata)
        return ending
