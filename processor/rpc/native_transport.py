"""The native transport: HTTP/2 outside of Python hands unary calls over in lists; grpcio gets all else.

What it can't do, and what stands instead, is told in docs/transports.md.
"""

import asyncio
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Final

from pygrpc_native import EVENT_CANCEL, NativeGrpcFront

from processor.domain.outcomes import Outcome
from processor.rpc.authentication import AUTHORIZATION, Metadata
from processor.rpc.departures import Departures
from processor.rpc.endings import OK, QUEUE_FULL, Ending, ending_of, reply_to_defect
from processor.rpc.grpcio_transport import GrpcioTransport
from processor.rpc.status import Refused
from processor.rpc.streams import StreamMethod
from processor.rpc.unary import Intake, StartedCall, UnaryMethod
from processor.tracing import NO_SPAN, Span

if TYPE_CHECKING:
    from pygrpc_native._native import DetailedEvent

# What one pass of the event loop begins, at most.
_EVENTS_MAX: Final = 1_024
# Beyond that the loop sees to others first, so that a worker with large requests still shows that it lives.
_BYTES_A_PASS: Final = 256 * 1_024
_IO_THREADS: Final = 1
# The front reads all calls that come, at once, and each takes 11 KiB until it is answered: more of one
# connection wait at the caller's. Fewer would make the batches of a few busy connections smaller.
_STREAMS_PER_CONNECTION_MAX: Final = 175
_POLL_SECONDS: Final = 0.01
# Nothing tells when a reply has been written, and what has not is lost when the connections are closed.
_WRITING_SECONDS: Final = 0.1
_SHUTTING_DOWN: Final = ending_of(Refused(Outcome.SHUTTING_DOWN).reply)


async def start_native(
    address: str, methods: Mapping[str, UnaryMethod | StreamMethod], fallback: GrpcioTransport
) -> "NativeTransport":
    """Listen on HOST:PORT for the methods, by path; `fallback` serves the streams and whatever else there is.

    Raises OSError, in one line, if the port can't be had.
    """
    unary = {path: method for path, method in methods.items() if isinstance(method, UnaryMethod)}
    streams = [method for method in methods.values() if isinstance(method, StreamMethod)]
    front = _listen(address, list(unary))
    directory = Path(tempfile.mkdtemp(prefix="loyalty-grpcio-"))
    socket = directory / "socket"
    fallback.start(f"unix:{socket}", None)
    front.set_fallback(str(socket))
    transport = NativeTransport(front, list(unary.values()), streams, fallback, directory)
    transport.start()
    return transport


def _listen(address: str, paths: Sequence[str]) -> NativeGrpcFront:
    try:
        return NativeGrpcFront(
            address,
            [(path, False) for path in paths],
            io_threads=_IO_THREADS,
            client_key_metadata=AUTHORIZATION,
            call_details=True,
            max_concurrent_streams=_STREAMS_PER_CONNECTION_MAX,
            reuse_port=True,
        )
    except OSError as error:
        raise OSError(f"can't listen on {address}: check that it is free and this machine's") from error


class NativeTransport:
    """A server that listens. Of its methods, an event names one by its index."""

    def __init__(
        self,
        front: NativeGrpcFront,
        methods: Sequence[UnaryMethod],
        streams: Sequence[StreamMethod],
        fallback: GrpcioTransport,
        directory: Path,
    ) -> None:
        """`directory` is that of the fallback's socket."""
        self.port = front.bound_port
        self._front = front
        self._methods = methods
        self._streams = streams
        self._fallback = fallback
        self._directory = directory
        self._loop = asyncio.get_running_loop()
        # What to cancel if the caller goes: a call that was started, or the task of another.
        self._calls: dict[int, StartedCall | asyncio.Task[None]] = {}
        self._departures = Departures(self._leave, self._send_reply)
        self._held: list[int] = []
        self._is_closing = False
        self._reader = Thread(target=self._read, name="native-reader", daemon=True)
        self._is_taken = Lock()

    def start(self) -> None:
        """Accept connections."""
        self._front.start()
        self._reader.start()

    # --- calls ---

    def _read(self) -> None:
        """In a thread of its own: hand over all calls that have come, as soon as the last ones are begun."""
        self._is_taken.acquire()
        while (events := self._front.recv_batch_details(_EVENTS_MAX)) is not None:
            self._loop.call_soon_threadsafe(self._receive, events)
            self._is_taken.acquire()

    def _receive(self, events: "Sequence[DetailedEvent]") -> None:
        self._take(iter(events), self._loop.time(), perf_counter())

    def _take(self, events: "Iterator[DetailedEvent]", arrived: float, started: float) -> None:
        """Begin calls in one pass of the event loop, in their order; if they are large, in several."""
        are_left = False
        try:
            are_left = self._begin_some(events, Intake(arrived, started, self._departures.note_end))
        finally:
            # Whatever went wrong here: without its lock back, the reader would never hand over a call again.
            if are_left:
                self._loop.call_soon(self._take, events, arrived, started)
            else:
                self._is_taken.release()

    def _begin_some(self, events: "Iterator[DetailedEvent]", intake: Intake) -> bool:
        """Begin as many as one pass may; whether there are more."""
        size_bytes = 0
        for kind, call_id, method_id, data, key, details in events:
            if kind == EVENT_CANCEL:
                self._cancel(call_id)
            elif self._is_closing:
                self._held.append(call_id)
            elif data is not None and details is not None:
                metadata, _, remaining_seconds = details
                deadline = math.inf if remaining_seconds is None else intake.arrived + remaining_seconds
                method = self._methods[method_id]
                # Without credentials the front names the peer, in a str.
                credentials = key if isinstance(key, bytes) else b""
                self._begin(call_id, method, credentials, metadata, data, deadline, intake)
                size_bytes += len(data)
                if size_bytes > _BYTES_A_PASS:
                    return True
        return False

    def _begin(
        self,
        call_id: int,
        method: UnaryMethod,
        credentials: bytes,
        metadata: Metadata,
        data: bytes,
        deadline: float,
        intake: Intake,
    ) -> None:
        """Start a call at once where that is possible, else by a task. A defect must not cost the others."""
        try:
            span = method.observer.span(metadata)
            started = None
            if span is NO_SPAN and method.turned_away(metadata):
                self._send(call_id, QUEUE_FULL)
                return
            if span is NO_SPAN and (caller := intake.caller(method, metadata, credentials)):
                started = method.start(call_id, caller, metadata, data, deadline, intake)
            self._calls[call_id] = started or self._task(call_id, method, metadata, data, deadline, span)
        except Exception as defect:  # noqa: BLE001 - the till is told so
            self._send(call_id, ending_of(reply_to_defect(defect, method.observer.method)))

    def _task(
        self,
        call_id: int,
        method: UnaryMethod,
        metadata: Metadata,
        data: bytes,
        deadline: float,
        span: AbstractContextManager[Span],
    ) -> asyncio.Task[None]:
        task = self._loop.create_task(self._answer(call_id, method, metadata, data, deadline, span))
        # Not by the task itself: one that is cancelled before its first step never runs.
        task.add_done_callback(partial(self._forget, call_id))
        return task

    def _forget(self, call_id: int, _: object) -> None:
        del self._calls[call_id]

    def _leave(self, call: StartedCall) -> None:
        del self._calls[call.origin]

    def _send_reply(self, call: StartedCall, ending: Ending, body: bytes) -> None:
        self._send(call.origin, ending, body)

    async def _answer(
        self,
        call_id: int,
        method: UnaryMethod,
        metadata: Metadata,
        data: bytes,
        deadline: float,
        span: AbstractContextManager[Span],
    ) -> None:
        async def receive() -> bytes:
            return data

        ending, body = await method.answer(metadata, receive, deadline, span)
        self._send(call_id, ending, body)

    def _send(self, call_id: int, ending: Ending, body: bytes = b"") -> None:
        """Nothing comes of it if the caller has gone."""
        if ending.code == OK:
            self._front.respond(call_id, body, None, ending.trailing_metadata or None)
        else:
            self._front.fail(call_id, ending.code, ending.message, ending.trailing_metadata)

    def _cancel(self, call_id: int) -> None:
        call = self._calls.get(call_id)
        if call:
            call.cancel()

    # --- the end ---

    async def stop(self, grace_seconds: float) -> None:
        """Let streams and then calls finish, but cancel them after `grace_seconds`; close the connections.

        Calls go on being answered while there are streams: the front can't send a connection's clients away
        and yet let its calls finish. Those that come in the moment between are told to come again.
        """
        until = self._loop.time() + grace_seconds
        stopping = asyncio.create_task(self._fallback.stop(grace_seconds))
        await self._are_none(lambda: any(stream.under_way for stream in self._streams), until)
        self._is_closing = True
        await self._are_none(lambda: bool(self._calls), until)
        await self._cancel_all()
        if grace_seconds:
            await asyncio.sleep(_WRITING_SECONDS)
        await self._close()
        await stopping
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _are_none(self, are_some: Callable[[], bool], until: float) -> None:
        """Wait for calls to end, but not beyond that time."""
        while are_some() and self._loop.time() < until:  # noqa: ASYNC110 - an event would cost every call
            await asyncio.sleep(_POLL_SECONDS)

    async def _cancel_all(self) -> None:
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        tasks = [call for call in calls if isinstance(call, asyncio.Task)]
        await asyncio.gather(*tasks, return_exceptions=True)
        # Those that were started end in the next pass of the event loop.
        await asyncio.sleep(0)

    async def _close(self) -> None:
        for call_id in self._held:
            self._send(call_id, _SHUTTING_DOWN)
        await asyncio.to_thread(self._front.close)
        await asyncio.to_thread(self._reader.join)
