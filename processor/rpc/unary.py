"""A unary method from credentials to status; a transport brings the call and takes the ending away."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from processor.call import Call
from processor.domain.chain import ApiKey
from processor.domain.command import Command
from processor.ports import Reply
from processor.rpc.admission import Admission
from processor.rpc.authentication import Metadata
from processor.rpc.endings import ENDING_OF_CANCELLED, OK, Ending, ending_of, or_refusal
from processor.rpc.metrics import CallMetrics
from processor.rpc.observation import Observer
from processor.rpc.writes import WriteMethod
from processor.tracing import Span

# (caller, request, deadline) -> reply; the deadline is in the event loop's seconds, or infinite.
Work = Callable[[ApiKey, bytes, float], Awaitable[Reply]]


class KnownCaller(NamedTuple):
    """The key that a call presents, and the name of its chain."""

    key: ApiKey
    chain: str


class Intake:
    """What calls that are begun in one pass of the event loop have in common."""

    def __init__(self, arrived: float, started: float, note_end: Callable[["StartedCall"], None]) -> None:
        """When they came, by the event loop's time and by `perf_counter`; who is told of the end of each."""
        self.arrived = arrived
        self.started = started
        self.note_end = note_end
        self._callers: dict[str | bytes, KnownCaller] = {}

    def caller(
        self, method: "UnaryMethod", metadata: Metadata, credentials: str | bytes
    ) -> KnownCaller | None:
        """As `method.knows`, which is not asked again for the same credentials.

        `credentials` are the same for two calls only if their `authorization` is; empty if not known.
        """
        known = self._callers.get(credentials)
        if known is None:
            known = method.knows(metadata)
            if known and credentials:
                self._callers[credentials] = known
        return known


class UnaryMethod:
    """One method of the contract."""

    def __init__(self, work: Work, admission: Admission, observer: Observer) -> None:
        self._work = work
        self._write = work if isinstance(work, WriteMethod) else None
        self._admission = admission
        self.observer = observer

    async def answer(
        self,
        metadata: Metadata,
        receive: Callable[[], Awaitable[bytes]],
        deadline: float,
        span: AbstractContextManager[Span],
    ) -> tuple[Ending, bytes]:
        """Handle a call; the bytes are its response if it ends with OK.

        `receive` gives its message, or raises Refused; nothing else is raised from here.
        """
        with self.observer.call(metadata, span) as call:
            reply = await or_refusal(self._reply(call, metadata, receive, deadline), self.observer.method)
            call.ending = ending_of(reply)
            if call.ending.code == OK:
                self.observer.metrics.note_sent()
            return call.ending, reply.body

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

    def start(
        self,
        origin: Any,
        caller: KnownCaller,
        metadata: Metadata,
        data: bytes,
        deadline: float,
        intake: Intake,
    ) -> "StartedCall | None":
        """Begin a call without waiting for anything, untraced: a write of a known member.

        `origin` is what the transport knows it by.
        None, and nothing has happened, if the call is another one or must be refused: `answer` does that.
        """
        write = self._write
        if write is None or not self._admission.places.free:
            return None
        try:
            self._admission.check(data)
            command = write.read(caller.key, data)
            call = StartedCall(self, command, deadline, intake, origin, caller.chain, metadata, data)
            if not write.queue.offer(caller.key.chain_id, call):
                return None
        except Exception:  # noqa: BLE001 - to be met again, and told, by `answer`
            return None
        self._admission.places.take()
        self.observer.metrics.note_started(received=1)
        return call

    def knows(self, metadata: Metadata) -> KnownCaller | None:
        """Whose call it is, if that takes no waiting and is not to be refused."""
        try:
            key = self._admission.known_caller(metadata)
            return KnownCaller(key, self._admission.chain_name(key)) if key else None
        except Exception:  # noqa: BLE001 - to be met again, and told, by `answer`
            return None

    def turned_away(self, metadata: Metadata) -> bool:
        """Refuse a call with QUEUE_FULL if there is no place for it: under overload most calls are such."""
        if self._admission.places.free:
            return False
        self.observer.turn_away(metadata)
        return True

    def expect(self) -> bool:
        """Take a place for a call whose message is on its way; False if there is none."""
        if not self._admission.places.free:
            return False
        self._admission.places.take()
        return True

    def expect_no_longer(self) -> None:
        """Give that place back: the message has come, or never will."""
        self._admission.places.give_back()

    def finish(self, calls: Sequence["StartedCall"]) -> None:
        """Note that calls which were started have ended."""
        self._admission.places.give_back(len(calls))
        self.observer.metrics.note_sent(sum([call.ending.code == OK for call in calls]))
        self.observer.finish(calls)


class StartedCall(Call):
    """A call that waits for the batcher alone.

    Whoever is told of its end notes the `ending`, if there is a reply, and calls `finish` of its method.
    """

    __slots__ = ("_note_end", "chain", "ending", "metadata", "method", "origin", "request", "started")

    def __init__(
        self,
        method: UnaryMethod,
        command: Command,
        deadline: float,
        intake: Intake,
        origin: Any,
        chain: str,
        metadata: Metadata,
        request: bytes,
    ) -> None:
        """`origin` is what the transport knows it by."""
        super().__init__(command, deadline, intake.arrived)
        self.method = method
        self.origin = origin
        self.chain: str | None = chain
        self.metadata = metadata
        self.request = request
        self.started = intake.started
        self.ending = ENDING_OF_CANCELLED
        self._note_end = intake.note_end

    def _end(self) -> None:
        self._note_end(self)
