"""Methods with many messages in both directions, of one call each."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from processor.domain.chain import ApiKey
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.admission import Admission
from processor.rpc.authentication import Metadata
from processor.rpc.endings import Ending, ending_of, or_refusal
from processor.rpc.metrics import CallMetrics
from processor.rpc.observation import Observer

# (caller, messages, deadline); raises Refused to end the stream with that status.
StreamWork = Callable[[ApiKey, "MessageStream", float], Awaitable[None]]

_DONE: Final = Reply(Outcome.APPLIED, b"", replayed=False)


class StreamCall(Protocol):
    """A call with many messages; `deadline` is in the event loop's seconds, or infinite."""

    metadata: Metadata
    deadline: float

    async def read(self) -> bytes | None:
        """The next message; None if the caller has sent its last, or is gone."""
        ...

    async def write(self, data: bytes) -> bool:
        """Send a message, one at a time; returns when there is room for the next, False if nobody waits."""
        ...


class MessageStream:
    """The two directions of a stream, for any number of tasks to write to."""

    def __init__(self, call: StreamCall, admission: Admission, observer: Observer) -> None:
        self._call = call
        self._admission = admission
        self._metrics = observer.metrics
        self._one_writes = asyncio.Lock()

    async def read(self) -> bytes | None:
        """The next message; None when the caller has sent its last. Raises Refused."""
        data = await self._call.read()
        if data is None:
            return None
        self._metrics.note_received()
        # A key that is revoked meanwhile ends the stream.
        await self._admission.caller(self._call.metadata)
        self._admission.check(data)
        return data

    async def write(self, data: bytes) -> None:
        """Send a message; returns when there is room for the next one."""
        async with self._one_writes:
            if await self._call.write(data):
                self._metrics.note_sent()


class StreamMethod:
    """One method of the contract, in both directions at once."""

    def __init__(self, work: StreamWork, admission: Admission, observer: Observer) -> None:
        self._work = work
        self._admission = admission
        self.observer = observer
        self.under_way = 0

    async def exchange(self, call: StreamCall) -> Ending:
        """Handle a stream to its end."""
        self.under_way += 1
        try:
            return await self._exchange(call)
        finally:
            self.under_way -= 1

    async def _exchange(self, stream: StreamCall) -> Ending:
        with self.observer.call(stream.metadata, self.observer.span(stream.metadata)) as call:
            reply = await or_refusal(self._converse(call, stream), self.observer.method) or _DONE
            call.ending = ending_of(reply)
            return call.ending

    async def _converse(self, call: CallMetrics, stream: StreamCall) -> None:
        with self._admission.places:
            caller = await self._admission.caller(stream.metadata)
            call.chain = self._admission.chain_name(caller)
            messages = MessageStream(stream, self._admission, self.observer)
            await self._work(caller, messages, stream.deadline)
