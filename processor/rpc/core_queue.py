"""What has happened to calls, as gRPC's core tells of it: seen to on the event loop, many events in a pass.

grpc.aio wakes the event loop for every single event, which costs more than gRPC itself (decision 0027).
"""

import asyncio
from threading import Lock, Thread
from time import perf_counter
from typing import Any, Final

from grpc._cython import cygrpc  # type: ignore[attr-defined]

from processor.defects import report_defect

# Beyond that the loop sees to others first, so that a worker with large requests still shows that it lives.
_SECONDS_A_PASS: Final = 0.01
# A time that is over: what has not happened yet is not waited for.
_NOW: Final = 1.0
_NOTHING: Final[int] = cygrpc.CompletionType.queue_timeout
_OVER: Final[int] = cygrpc.CompletionType.queue_shutdown


class CoreQueue:
    """A completion queue. Whoever starts an operation tags it with a function that takes its event."""

    def __init__(self) -> None:
        self.core = cygrpc.CompletionQueue()
        self._loop = asyncio.get_running_loop()
        self._reader = Thread(target=self._read, name="grpcio-reader", daemon=True)
        self._is_taken = Lock()
        # So far; what comes in one of them comes together.
        self.passes = 0

    def start(self) -> None:
        """Begin to read."""
        self._reader.start()

    async def close(self) -> None:
        """Read what is left, and no more."""
        self.core.shutdown()
        await asyncio.to_thread(self._reader.join)

    def _read(self) -> None:
        """In a thread of its own: wait until something happens, and leave the queue to the event loop."""
        self._is_taken.acquire()
        while (event := self.core.poll()).completion_type != _OVER:
            try:
                self._loop.call_soon_threadsafe(self._take, event)
            except RuntimeError:  # the loop was closed without a stop of the server
                return
            # Else the last call before a quiet time would stay in memory for as long.
            event = None
            self._is_taken.acquire()

    def _take(self, event: Any) -> None:
        """See to this event and to those that have come meanwhile, in one pass of the event loop."""
        self.passes += 1
        until = perf_counter() + _SECONDS_A_PASS
        try:
            while event.completion_type not in (_NOTHING, _OVER):
                _see_to(event)
                if perf_counter() > until:
                    return
                event = self.core.poll(deadline=_NOW)
        finally:
            # Whatever went wrong here: without its lock back, the reader would never hand over a call again.
            self._is_taken.release()


def _see_to(event: Any) -> None:
    """A defect must not cost the other calls."""
    try:
        event.tag(event)
    except Exception as defect:  # noqa: BLE001 - the next event is another call's
        report_defect("an event of gRPC's core was not seen to", defect)
