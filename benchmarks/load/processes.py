"""The processes of a load: each sends its part by itself, and all begin at the same time."""

import gc
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from benchmarks.load.session import Load, Session
from benchmarks.load.tally import Tally
from benchmarks.load.wire import UnreachableError

_STOP_SECONDS: Final = 10


class ProcessError(Exception):
    """One line: why a process could not do its part."""


class Amount(NamedTuple):
    """How much is sent: so many operations, or as many as there are in so long."""

    operations: int | None
    seconds: float | None


class Part(NamedTuple):
    """What one process did; counts are of operations, but `messages`. `latencies` are encoded."""

    messages: int
    applied: int
    refused: int
    repeated: int
    failures: Counter[str]
    seconds: float
    cpu_seconds: float
    latencies: bytes


def run(load: Load, amount: Amount, processes: int) -> Sequence[Part]:
    """Divide the load. Raises ProcessError."""
    with ExitStack() as stack:
        pipes = [_start(stack, *part) for part in _divide(load, amount, processes)]
        for pipe in pipes:
            _receive(pipe)
        # From here on an interrupt is for the processes: they end early and tell what they did.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        stack.callback(signal.signal, signal.SIGINT, before)
        for pipe in pipes:
            pipe.send(None)
        return [_receive(pipe) for pipe in pipes]


def _divide(load: Load, amount: Amount, processes: int) -> Sequence[tuple[Load, Amount]]:
    """Rates and operations are of all processes together; connections and what is under way of each."""
    rate = load.rate / processes if load.rate else None
    return [(replace(load, rate=rate), _share(amount, number, processes)) for number in range(processes)]


def _share(amount: Amount, number: int, processes: int) -> Amount:
    if amount.operations is None:
        return amount
    whole, rest = divmod(amount.operations, processes)
    return amount._replace(operations=whole + (number < rest))


def _start(stack: ExitStack, load: Load, amount: Amount) -> "Connection[Any, Any]":
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_work, args=(theirs, load, amount), daemon=True)
    process.start()
    theirs.close()  # so that the pipe breaks when the process ends
    stack.callback(process.kill)
    stack.callback(process.join, _STOP_SECONDS)
    stack.callback(ours.close)
    return ours


def _receive(pipe: "Connection[Any, Any]") -> Any:
    try:
        answer = pipe.recv()
    except (EOFError, OSError):
        raise ProcessError("a process has ended; its error stands above") from None
    if isinstance(answer, ProcessError):
        raise answer
    return answer


# --- in a process of the load -------------------------------------------------------------------------


def _work(pipe: "Connection[Any, Any]", load: Load, amount: Amount) -> None:
    try:
        with load.connect() as session:
            signal.signal(signal.SIGINT, lambda *_: session.stop())
            pipe.send("ready")
            pipe.recv()
            pipe.send(_run(session, amount))
    except UnreachableError as error:
        pipe.send(ProcessError(f"{load.target}: {error}"))
    except (EOFError, OSError):
        return  # nobody waits for it any more


def _run(session: Session, amount: Amount) -> Part:
    gc.freeze()  # there are no cycles to find in what is made for a call
    gc.disable()
    before = time.process_time()
    tally = session.send(operations=amount.operations, seconds=amount.seconds)
    return _part(tally, time.process_time() - before)


def _part(tally: Tally, cpu_seconds: float) -> Part:
    return Part(
        tally.messages,
        tally.applied,
        tally.refused,
        tally.repeated,
        tally.failures,
        tally.seconds,
        cpu_seconds,
        tally.latencies.encode(),
    )
