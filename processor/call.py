"""One call on its way through the batcher, and the group of calls that arrived together."""

import asyncio
from collections.abc import Sequence

from processor.domain.command import Command
from processor.ports import Reply


class CallGroup:
    """The calls of one request; `done` ends when each has its reply, or is cancelled with the caller."""

    __slots__ = ("_missing", "arrived", "calls", "done", "trace_link")

    def __init__(
        self, commands: Sequence[Command], deadline: float, trace_link: object | None = None
    ) -> None:
        """`trace_link` is what `Tracing.link` gave."""
        loop = asyncio.get_running_loop()
        self.arrived = loop.time()
        self.done: asyncio.Future[None] = loop.create_future()
        self.calls = [Call(self, command, deadline) for command in commands]
        self.trace_link = trace_link
        self._missing = len(self.calls)

    async def replies(self) -> list[Reply]:
        """Wait for all replies and return them in the order of the commands."""
        await self.done
        return [call.reply for call in self.calls if call.reply]

    def count_reply(self) -> None:
        """Note that one more call has its reply."""
        self._missing -= 1
        if not self._missing and not self.done.done():
            self.done.set_result(None)


class Call:
    """A command that waits for its reply until `deadline`, in the event loop's seconds."""

    __slots__ = ("_group", "command", "deadline", "reply")

    def __init__(self, group: CallGroup, command: Command, deadline: float) -> None:
        self._group = group
        self.command = command
        self.deadline = deadline
        self.reply: Reply | None = None

    def answer(self, reply: Reply) -> None:
        """Give the call its reply; a second one is dropped."""
        if self.reply is None:
            self.reply = reply
            self._group.count_reply()

    @property
    def arrived(self) -> float:
        """When the call arrived, in the event loop's seconds."""
        return self._group.arrived

    @property
    def trace_link(self) -> object | None:
        """What links the call's span with that of its batch."""
        return self._group.trace_link

    @property
    def is_waiting(self) -> bool:
        """Whether anybody still waits for the reply."""
        return self.reply is None and not self._group.done.cancelled()
