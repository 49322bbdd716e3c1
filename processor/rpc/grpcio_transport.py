"""The default transport: gRPC's core, by TLS if asked for. native leaves all but unary calls to it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from time import perf_counter
from typing import Any, Final, NamedTuple

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from processor.domain.outcomes import Outcome
from processor.rpc.authentication import authorization_of
from processor.rpc.core_call import CoreCall
from processor.rpc.core_queue import CoreQueue
from processor.rpc.departures import Departures
from processor.rpc.endings import ENDING_OF_CANCELLED, QUEUE_FULL, Ending, ending_of, reply_to_defect
from processor.rpc.servicers import ServicerMethod
from processor.rpc.status import Refused
from processor.rpc.streams import StreamMethod
from processor.rpc.unary import Intake, KnownCaller, StartedCall, UnaryMethod
from processor.tracing import NO_SPAN, Span

Method = UnaryMethod | StreamMethod | ServicerMethod

# So many can be handed over before more are asked for; one at a time would make the core wait for Python.
_REQUESTED_CALLS: Final = 64
_STREAMS_PER_CONNECTION_MAX: Final = 1_000
_PING_INTERVAL_MS_MIN: Final = 10_000
_NO_SUCH_METHOD: Final = Ending(grpc.StatusCode.UNIMPLEMENTED.value[0], "UNIMPLEMENTED", "no such method", ())


class Tls(NamedTuple):
    """PEM bytes; with `client_ca` callers must present a certificate signed by it."""

    certificate_chain: bytes
    private_key: bytes
    client_ca: bytes | None = None


class ConnectionAge(NamedTuple):
    """When a connection is asked to reconnect, and how long its calls have to finish then."""

    seconds_max: float
    grace_seconds: float


class GrpcioTransport:
    """A server of gRPC's core; not started yet, it listens nowhere."""

    def __init__(
        self, methods: Mapping[str, Method], options: Sequence[tuple[str, int]], calls_max: int
    ) -> None:
        """Methods are by path; of calls beyond `calls_max` under way, further ones are refused."""
        self.port = 0
        self._methods = methods
        self._calls_max = calls_max
        self._loop = asyncio.get_running_loop()
        self._queue = CoreQueue()
        self._server = cygrpc.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue.core)
        self._calls_under_way = 0
        self._tasks = set[asyncio.Task[None]]()
        self._departures = Departures(_leave, _send_reply)
        self._intake = Intake(0.0, 0.0, self._departures.note_end)
        self._intake_of_pass = 0
        self._is_stopping = False
        self._is_stopped = asyncio.Event()
        self._is_idle = asyncio.Event()

    def start(self, address: str, tls: Tls | None) -> None:
        """Listen on HOST:PORT, or unix:PATH. Raises OSError, in one line, if that can't be had."""
        self.port = self._listen(address.encode(), tls)
        if not self.port:
            files = ", and that certificate and private key are PEM and belong together" if tls else ""
            raise OSError(f"can't listen on {address}: check that it is free and this machine's{files}")
        self._server.start()
        for _ in range(_REQUESTED_CALLS):
            self._request_call()
        self._queue.start()

    def _listen(self, address: bytes, tls: Tls | None) -> int:
        if tls is None:
            return int(self._server.add_http2_port(address))
        return int(self._server.add_http2_port(address, _credentials(tls)))

    # --- calls ---

    def _request_call(self) -> None:
        """Have another call handed over when it comes."""
        self._server.request_call(self._queue.core, self._queue.core, self._begin)

    def _begin(self, event: Any) -> None:
        """Begin what has come."""
        if not event.success:  # the server stops
            return
        if not self._is_stopping:
            self._request_call()
        call = CoreCall(event, self._pass().arrived, self._note_closed)
        self._calls_under_way += 1
        try:
            self._hand_on(call)
        except Exception as defect:  # noqa: BLE001 - the till is told so
            _tell_of(defect, call)

    def _hand_on(self, call: CoreCall) -> None:
        method = self._methods.get(call.path)
        if method is None:
            call.end(_NO_SUCH_METHOD)
        elif self._calls_under_way > self._calls_max:
            self._turn_away(call, method)
        elif isinstance(method, UnaryMethod):
            self._begin_unary(call, method)
        else:
            self._run(call, _exchange(call, method))

    def _turn_away(self, call: CoreCall, method: Method) -> None:
        if not isinstance(method, ServicerMethod):
            method.observer.turn_away(call.metadata)
        call.end(QUEUE_FULL)

    def _pass(self) -> Intake:
        """What calls have in common that come in this pass of the event loop."""
        if self._intake_of_pass != self._queue.passes:
            self._intake_of_pass = self._queue.passes
            self._intake = Intake(self._loop.time(), perf_counter(), self._departures.note_end)
        return self._intake

    def _note_closed(self, _: CoreCall) -> None:
        self._calls_under_way -= 1
        self._look_whether_idle()

    def _run(self, call: CoreCall, work: Coroutine[Any, Any, None]) -> None:
        """Handle a call by a task, which is cancelled if the caller goes."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        call.on_gone = task.cancel
        task.add_done_callback(partial(self._conclude, call))

    def _conclude(self, call: CoreCall, task: "asyncio.Task[None]") -> None:
        """Let go of a task; whatever became of it must not leave the till waiting."""
        self._tasks.discard(task)
        self._look_whether_idle()
        call.on_gone = None
        if task.cancelled():
            call.end(ENDING_OF_CANCELLED)
        elif isinstance(defect := task.exception(), Exception):
            _tell_of(defect, call)

    # --- unary calls ---

    def _begin_unary(self, call: CoreCall, method: UnaryMethod) -> None:
        """Take the message of a caller that is known; that of a stranger takes no memory before it is one."""
        span = method.observer.span(call.metadata)
        caller = None
        if span is NO_SPAN:
            if method.turned_away(call.metadata):
                call.end(QUEUE_FULL)
                return
            caller = self._intake.caller(method, call.metadata, authorization_of(call.metadata))
        if caller and method.expect():
            self._await_message(call, method, caller)
        else:
            self._run(call, _answer(call, method, span, partial(_receive, call)))

    def _await_message(self, call: CoreCall, method: UnaryMethod, caller: KnownCaller) -> None:
        try:
            call.receive(partial(self._start, call, method, caller, self._intake.started))
        except Exception:
            method.expect_no_longer()
            raise

    def _start(
        self, call: CoreCall, method: UnaryMethod, caller: KnownCaller, began: float, data: bytes | None
    ) -> None:
        """Start a call whose message has come, at once where that is possible, else by a task."""
        method.expect_no_longer()
        try:
            self._start_or_run(call, method, caller, began, data)
        except Exception as defect:  # noqa: BLE001 - the till is told so
            _tell_of(defect, call)

    def _start_or_run(
        self, call: CoreCall, method: UnaryMethod, caller: KnownCaller, began: float, data: bytes | None
    ) -> None:
        if data is None:
            # The caller may be gone, which is heard of soon.
            self._run(call, _answer(call, method, NO_SPAN, partial(_receive, call)))
            return
        started = None
        if not call.is_gone:
            started = method.start(call, caller, call.metadata, data, call.deadline, self._pass())
        if started:
            started.started = began
            call.on_gone = started.cancel
        else:
            self._run(call, _answer(call, method, NO_SPAN, partial(_received, call, data)))

    # --- the end ---

    async def stop(self, grace_seconds: float) -> None:
        """Accept nothing new; let calls under way finish, but cancel them after `grace_seconds`.

        Whoever asks for it once more may have less patience.
        """
        if not self._is_stopping:
            self._is_stopping = True
            self._server.shutdown(self._queue.core, self._note_stopped)
        try:
            await asyncio.wait_for(self._is_stopped.wait(), grace_seconds)
        except TimeoutError:
            self._server.cancel_all_calls()
            await self._is_stopped.wait()
        # The core ends the process if an operation is started on a queue that is closed.
        self._look_whether_idle()
        await self._is_idle.wait()
        self._server.destroy()
        await self._queue.close()

    def _look_whether_idle(self) -> None:
        """Once the server has stopped no call comes any more."""
        if self._is_stopped.is_set() and not self._calls_under_way and not self._tasks:
            self._is_idle.set()

    def _note_stopped(self, _: Any) -> None:
        self._is_stopped.set()


def _tell_of(defect: Exception, call: CoreCall) -> None:
    """A defect must not leave the till waiting."""
    call.end(ending_of(reply_to_defect(defect, call.path)))


async def _exchange(call: CoreCall, method: StreamMethod | ServicerMethod) -> None:
    call.end(await method.exchange(call))


async def _answer(
    call: CoreCall,
    method: UnaryMethod,
    span: AbstractContextManager[Span],
    receive: Callable[[], Awaitable[bytes]],
) -> None:
    call.end(*await method.answer(call.metadata, receive, call.deadline, span))


async def _receive(call: CoreCall) -> bytes:
    """The message of a unary call. Raises Refused if the caller sends none."""
    return _message(call, await call.read())


async def _received(call: CoreCall, data: bytes) -> bytes:
    """The same where it has come already."""
    return _message(call, data)


def _message(call: CoreCall, data: bytes | None) -> bytes:
    if call.is_gone:
        raise asyncio.CancelledError
    if data is None:
        raise Refused(Outcome.MALFORMED_REQUEST)
    return data


def _leave(call: StartedCall) -> None:
    call.origin.on_gone = None


def _send_reply(call: StartedCall, ending: Ending, body: bytes) -> None:
    call.origin.end(ending, body)


def grpcio_options(message_bytes_max: int, calls_max: int, age: ConnectionAge) -> list[tuple[str, int]]:
    """Options of a grpcio server. Larger messages are refused by grpcio itself."""
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", message_bytes_max),
        # Else a connection's window grows to megabytes, which strangers could fill with what nobody reads.
        ("grpc.http2.bdp_probe", 0),
        # Connections are renewed, so that they spread over the workers again and a drain comes to an end.
        ("grpc.max_connection_age_ms", round(age.seconds_max * 1000)),
        ("grpc.max_connection_age_grace_ms", round(age.grace_seconds * 1000)),
        # Calls that Python has not begun yet: grpcio ends some of them, and then all, without a word of ours.
        ("grpc.server.max_pending_requests", calls_max),
        # Each takes as much memory as one that has begun, so there are but half as many more.
        ("grpc.server.max_pending_requests_hard_limit", 3 * calls_max // 2),
        # More of one connection wait at the caller's.
        ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION_MAX),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MS_MIN),
    ]


def _credentials(tls: Tls) -> Any:
    pairs = [cygrpc.SslPemKeyCertPair(tls.private_key, tls.certificate_chain)]
    return cygrpc.server_credentials_ssl(tls.client_ca, pairs, tls.client_ca is not None)
