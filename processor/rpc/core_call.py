"""One call as gRPC's core knows it, from its request to its status. All of it is on the event loop."""

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from grpc._cython import cygrpc  # type: ignore[attr-defined]

from processor.rpc.authentication import Metadata
from processor.rpc.endings import OK, Ending

_NO_FLAGS: Final = 0
# The core's own for a call without a deadline lies millions of years ahead.
_SECONDS_MAX: Final = 1e12


class CoreCall:
    """A call that has come; `deadline` is in the event loop's seconds, or infinite.

    Messages are received one after the other, and sent so: the core takes one operation of a kind at a time.
    """

    __slots__ = ("_close", "_core", "_has_begun", "deadline", "is_gone", "metadata", "on_gone", "path")

    def __init__(self, event: Any, now: float, close: Callable[["CoreCall"], None]) -> None:
        """`event` tells of a request that came by `now`; `close` is told when the core is done with it."""
        self._core = event.call
        self._close = close
        self._has_begun = False
        self.path: str = event.call_details.method.decode(errors="replace")
        self.metadata: Metadata = event.invocation_metadata
        self.deadline = _deadline(event.call_details.deadline, now)
        # Whether nobody waits for it any more, and who is told of that.
        self.is_gone = False
        self.on_gone: Callable[[], object] | None = None
        self._start(self._note_closed, cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS))

    def receive(self, take: Callable[[bytes | None], None]) -> None:
        """Have the next message given to `take`: None if the caller has sent its last, or is gone."""
        if self.is_gone:
            take(None)
        else:
            self._start(partial(_give_message, take), cygrpc.ReceiveMessageOperation(_NO_FLAGS))

    async def read(self) -> bytes | None:
        """The next message; None if the caller has sent its last, or is gone."""
        arrived: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.receive(partial(_resolve, arrived))
        return await arrived

    def send(self, data: bytes, note_sent: Callable[[bool], None]) -> None:
        """Send a message of many; `note_sent` is told when there is room for the next one.

        It is told False if the caller is gone.
        """
        if self.is_gone:
            note_sent(False)
        else:
            self._send(partial(_tell_success, note_sent), cygrpc.SendMessageOperation(data, _NO_FLAGS))

    async def write(self, data: bytes) -> bool:
        """The same; returns when there is room for the next one, or False if the caller is gone."""
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.send(data, partial(_resolve, sent))
        return await sent

    def end(self, ending: Ending, message: bytes | None = None) -> None:
        """Send the status, and before it the message, if there is one: the last that is done with a call."""
        if self.is_gone:
            return
        status = cygrpc.SendStatusFromServerOperation(
            ending.trailing_metadata, ending.code, ending.message, _NO_FLAGS
        )
        if message is None or ending.code != OK:
            self._send(_ignore, status)
        else:
            self._send(_ignore, cygrpc.SendMessageOperation(message, _NO_FLAGS), status)

    def _send(self, tag: Callable[[Any], object], *operations: Any) -> None:
        """The first that is sent begins the response."""
        if self._has_begun:
            self._start(tag, *operations)
        else:
            self._start(tag, cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS), *operations)
            # Not before: what could not be encoded has sent nothing, and the till is to be told of that.
            self._has_begun = True

    def _start(self, tag: Callable[[Any], object], *operations: Any) -> None:
        """`tag` is called when they are done. Raises RuntimeError if the core does not take them."""
        error = self._core.start_server_batch(operations, tag)
        if error:
            raise RuntimeError(f"gRPC's core did not take an operation: its error {error}")

    def _note_closed(self, event: Any) -> None:
        self.is_gone = True
        if event.batch_operations[0].cancelled() and self.on_gone:
            self.on_gone()
        self._close(self)


def _deadline(wall_seconds: float, now: float) -> float:
    return math.inf if wall_seconds > _SECONDS_MAX else now + wall_seconds - time.time()


def _give_message(take: Callable[[bytes | None], None], event: Any) -> None:
    take(event.batch_operations[0].message())


def _tell_success(note_sent: Callable[[bool], None], event: Any) -> None:
    note_sent(event.success)


def _resolve(future: asyncio.Future[Any], value: object) -> None:
    """Unless whoever waited for it has been cancelled."""
    if not future.done():
        future.set_result(value)


def _ignore(_: Any) -> None:
    """What could not be sent has nobody who waits for it."""
