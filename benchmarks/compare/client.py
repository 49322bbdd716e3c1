"""A client process: it runs one load and nothing else, so that its CPU time stands by itself."""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from multiprocessing.connection import Connection
from types import MappingProxyType, TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import uvloop

_STOP_SECONDS: Final = 10


class BenchmarkError(Exception):
    """One line: why the benchmark cannot go on."""


_NO_LATENCIES: Final[Mapping[str, "Percentiles"]] = MappingProxyType({})


class Percentiles(NamedTuple):
    """Of latencies, in milliseconds."""

    p50_ms: float
    p99_ms: float


class Answers(NamedTuple):
    """What came back of a run.

    `failures` counts, by reason, what makes the run worthless; `failed_calls` those that the load allows.
    `latencies` are those of answered calls, by what was called; a load that does not time them has none.
    `seconds` is the run's length, of a load that knows better than the clock around it.
    """

    failures: Counter[str]
    failed_calls: int = 0
    latencies: Mapping[str, Percentiles] = _NO_LATENCIES
    seconds: float | None = None


class Session(Protocol):
    """An open load."""

    def prepare(self, operations: int) -> None:
        """Make ready what the next `run` sends, so many operations of it."""
        ...

    async def run(self) -> Answers:
        """Send it all and wait for the answers."""
        ...


class Load(Protocol):
    """What a client process is to send; it travels there by pickle."""

    def open(self) -> AbstractAsyncContextManager[Session]:
        """Connect."""
        ...


class Ran(NamedTuple):
    """One run of a load; `latencies` by what was called."""

    operations: int
    seconds: float
    failed_calls: int
    latencies: Mapping[str, Percentiles]


class Client:
    """The process of a load, for as long as the block lasts. Calls block and raise BenchmarkError."""

    def __init__(self, load: Load) -> None:
        # Spawned: gRPC does not survive a fork.
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, load), daemon=True)
        self._theirs = theirs

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()  # so that the pipe breaks when the process ends
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(_STOP_SECONDS)
        self._process.kill()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def prepare(self, operations: int) -> None:
        """Make ready what the next `run` sends."""
        self._ask("prepare", operations)

    def run(self) -> Ran:
        """Send it; every operation must be applied."""
        ran: Ran = self._ask("run")
        return ran

    def _ask(self, *request: object) -> Any:
        try:
            self._pipe.send(request)
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise BenchmarkError("a client process has ended; its error stands above") from None
        if isinstance(answer, BenchmarkError):
            raise answer
        return answer


# --- in the client process --------------------------------------------------------------------------


def _serve(pipe: Connection, load: Load) -> None:
    """Do what is asked through the pipe until it closes."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(pipe, load))


async def _answer(pipe: Connection, load: Load) -> None:
    async with load.open() as session:
        prepared = 0
        while request := await _receive(pipe):
            match request:
                case ("prepare", operations):
                    session.prepare(operations)
                    prepared = operations
                    pipe.send(None)
                case _:
                    pipe.send(await _run(session, prepared))


async def _receive(pipe: Connection) -> Any:
    try:
        return await asyncio.to_thread(pipe.recv)
    except EOFError:
        return None


async def _run(session: Session, operations: int) -> Ran | BenchmarkError:
    started = time.perf_counter()
    try:
        answers = await session.run()
    except BenchmarkError as error:
        return error
    seconds = answers.seconds or time.perf_counter() - started
    if answers.failures:
        return _unapplied(answers.failures, operations)
    return Ran(operations, seconds, answers.failed_calls, dict(answers.latencies))


def _unapplied(failures: Counter[str], operations: int) -> BenchmarkError:
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in failures.most_common())
    return BenchmarkError(f"of {operations:,} operations {failures.total():,} were not applied: {reasons}")
