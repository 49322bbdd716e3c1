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
    """A call that has come; `deadline` is in the event loop's seconds, or infinite."""

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
        self._start(partial(_give_message, take), cygrpc.ReceiveMessageOperation(_NO_FLAGS))

    async def read(self) -> bytes | None:
        """The next message; None if the caller has sent its last, or is gone."""
        arrived: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.receive(partial(_resolve, arrived))
        return await arrived

    async def write(self, data: bytes) -> None:
        """Send a message of many; returns when there is room for the next one, or the caller is gone."""
        if self.is_gone:
            return
        written: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        message = cygrpc.SendMessageOperation(data, _NO_FLAGS)
        self._start(lambda _: _resolve(written, None), *self._beginning(), message)
        await written

    def end(self, ending: Ending, message: bytes | None = None) -> None:
        """Send the status, and before it the message, if there is one: the last that is done with a call."""
        if self.is_gone:
            return
        status = cygrpc.SendStatusFromServerOperation(
            ending.trailing_metadata, ending.code, ending.message, _NO_FLAGS
        )
        if message is None or ending.code != OK:
            self._start(_ignore, *self._beginning(), status)
        else:
            self._start(_ignore, *self._beginning(), cygrpc.SendMessageOperation(message, _NO_FLAGS), status)

    def _beginning(self) -> tuple[Any, ...]:
        """What goes before the first that is sent."""
        if self._has_begun:
            return ()
        self._has_begun = True
        return (cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS),)

    def _start(self, tag: Callable[[Any], object], *operations: Any) -> None:
        self._core.start_server_batch(operations, tag)

    def _note_closed(self, event: Any) -> None:
        self.is_gone = True
        self._close(self)
        if event.batch_operations[0].cancelled() and self.on_gone:
            self.on_gone()


def _deadline(wall_seconds: float, now: float) -> float:
    return math.inf if wall_seconds > _SECONDS_MAX else now + wall_seconds - time.time()


def _give_message(take: Callable[[bytes | None], None], event: Any) -> None:
    take(event.batch_operations[0].message())


def _resolve(future: asyncio.Future[bytes | None], value: bytes | None) -> None:
    """Unless whoever waited for it has been cancelled."""
    if not future.done():
        future.set_result(value)


def _ignore(_: Any) -> None:
    """What could not be sent has nobody who waits for it."""
