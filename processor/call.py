"""One call on its way through the batcher, and the group of calls that arrived together."""

import asyncio
from collections.abc import Sequence

from processor.domain.command import Command
from processor.ports import Reply


class Call:
    """A command that waits for its reply until `deadline`; times are the event loop's, in seconds."""

    __slots__ = ("arrived", "command", "deadline", "is_waiting", "reply", "trace_link")

    def __init__(
        self, command: Command, deadline: float, arrived: float, trace_link: object | None = None
    ) -> None:
        """`trace_link` is what `Tracing.link` gave."""
        self.command = command
        self.deadline = deadline
        self.arrived = arrived
        self.trace_link = trace_link
        self.reply: Reply | None = None
        self.is_waiting = True

    def answer(self, reply: Reply) -> None:
        """Give the call its reply; a second one is dropped, and one that nobody waits for."""
        if self.is_waiting:
            self.is_waiting = False
            self.reply = reply
            self._end()

    def cancel(self) -> None:
        """Note that nobody waits for the reply any more."""
        if self.is_waiting:
            self.is_waiting = False
            self._end()

    def _end(self) -> None:
        """Tell whoever waits that it has its reply, or was cancelled: this happens once."""
        raise NotImplementedError


class CallGroup:
    """The calls of one request, which one waits for together."""

    __slots__ = ("_countdown", "calls")

    def __init__(
        self, commands: Sequence[Command], deadline: float, trace_link: object | None = None
    ) -> None:
        """`trace_link` is what `Tracing.link` gave."""
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        self._countdown = _Countdown(loop, len(commands))
        self.calls: list[Call] = [
            _GroupedCall(self._countdown, command, deadline, arrived, trace_link) for command in commands
        ]

    async def replies(self) -> list[Reply]:
        """Wait for all replies and return them in the order of the commands.

        If the caller is cancelled, so are those calls that have no reply yet.
        """
        try:
            await self._countdown.is_over
        except asyncio.CancelledError:
            for call in self.calls:
                call.cancel()
            raise
        return [call.reply for call in self.calls if call.reply]


class _Countdown:
    """Until the calls of a group have ended; `is_over` is done then.

    The calls know this and not their group, which knows them: in a circle, all would stay in memory, with
    their commands and replies, until Python looks for such.
    """

    __slots__ = ("_missing", "is_over")

    def __init__(self, loop: asyncio.AbstractEventLoop, calls: int) -> None:
        self.is_over: asyncio.Future[None] = loop.create_future()
        self._missing = calls

    def count_end(self) -> None:
        """Note that one more call has ended."""
        self._missing -= 1
        if not self._missing and not self.is_over.done():
            self.is_over.set_result(None)


class _GroupedCall(Call):
    __slots__ = ("_countdown",)

    def __init__(
        self,
        countdown: _Countdown,
        command: Command,
        deadline: float,
        arrived: float,
        trace_link: object | None,
    ) -> None:
        super().__init__(command, deadline, arrived, trace_link)
        self._countdown = countdown

    def _end(self) -> None:
        self._countdown.count_end()
