"""Calls that were started and have ended: sent and noted together, once in a pass of the event loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from processor.defects import report_defect
from processor.ports import Reply
from processor.rpc.endings import Ending, ending_of, reply_to_defect
from processor.rpc.unary import StartedCall, UnaryMethod


class Departures:
    """Those of one transport."""

    def __init__(
        self, leave: Callable[[StartedCall], None], send: Callable[[StartedCall, Ending, bytes], None]
    ) -> None:
        """`leave` is told of every call; `send` sends ending and body of those that have a reply."""
        self._leave = leave
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._ended: list[StartedCall] = []

    def note_end(self, call: StartedCall) -> None:
        """Have it sent together with all others that end in the same pass of the event loop."""
        if not self._ended:
            self._loop.call_soon(self._finish)
        self._ended.append(call)

    def _finish(self) -> None:
        """Send the replies of calls that have ended, and note them."""
        ended, self._ended = self._ended, []
        by_method: dict[UnaryMethod, list[StartedCall]] = {}
        for call in ended:
            self._leave(call)
            by_method.setdefault(call.method, []).append(call)
            # What was cancelled has none.
            if call.reply:
                self._send_reply(call, call.reply)
        for method, calls in by_method.items():
            _note(method, calls)

    def _send_reply(self, call: StartedCall, reply: Reply) -> None:
        """A defect must not cost the other calls."""
        try:
            call.ending = ending_of(reply)
            self._send(call, call.ending, reply.body)
        except Exception as defect:  # noqa: BLE001 - the till is told so
            call.ending = ending_of(reply_to_defect(defect, call.method.observer.method))
            # It may be the sending itself that fails.
            with suppress(Exception):
                self._send(call, call.ending, b"")


def _note(method: UnaryMethod, calls: list[StartedCall]) -> None:
    """A defect must not cost the calls of other methods."""
    try:
        method.finish(calls)
    except Exception as defect:  # noqa: BLE001 - the tills have their replies
        report_defect("calls not noted", defect, method=method.observer.method)
