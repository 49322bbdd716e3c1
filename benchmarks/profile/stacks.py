"""Sampled stacks, and what of them belongs to which part of a call's way."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import PurePath
from typing import Final, NamedTuple


class Part(StrEnum):
    """Of the way of a call; a sample belongs to the first one that its stack tells of."""

    SETTLING = "a batch: decisions, hashes, replies"
    DATABASE = "a batch: the rest of it, the transaction and asyncpg"
    CALL = "a call: from its bytes to its lane, and its end"
    GRPC = "gRPC's own"
    REST = "the event loop, Python, and what else there is"


class Frame(NamedTuple):
    """A function, as its symbol says, and the file of the library that it is in."""

    symbol: str
    library: str


class Stack(NamedTuple):
    """What a thread was at; its innermost frame is the first."""

    thread: str
    frames: tuple[Frame, ...]


# Modules as mypyc writes them into its symbols, which are `CPyDef_module___Class___function`.
_SETTLING: Final = re.compile(r"CPyDef_settlement___|CPyDef_counts___")
_DATABASE: Final = re.compile(r"CPyDef_(lane|ledger|batch)___|__pyx_.*asyncpg")
_CALL: Final = re.compile(r"CPyDef_(unary|writes|native_transport|transactions|batcher|backlog|call)___")
_COMPILED: Final = re.compile(r"CPyDef_(?P<module>\w+?)___(?P<function>\w+)")
_COROUTINE: Final = re.compile(r"_gen_+mypyc_generator_helper__$")
_NATIVE_THREAD: Final = "grpc-native"
_INTERPRETER: Final = "_PyEval_EvalFrameDefault"
# By the beginnings of their files' names; what else there is of C counts for whoever called it.
_LIBRARIES: Final = {
    "_native.": "pygrpc-native",
    "cygrpc.": "grpcio",
    "protocol.": "asyncpg",
    "pgproto.": "asyncpg",
    "record.": "asyncpg",
    "_message.": "protobuf",
    "loop.": "uvloop",
}


def read_stacks(lines: Iterable[str]) -> Iterator[Stack]:
    """Of `perf script -F comm,ip,sym,dso`: the thread, a line for each frame, an empty line."""
    thread, frames = "", list[Frame]()
    for line in lines:
        if line[:1].isspace() and line.strip():
            frames.append(_frame(line))
        elif line.strip():
            thread, frames = line.strip(), []
        elif frames:
            yield Stack(thread, tuple(frames))
            frames = []
    if frames:
        yield Stack(thread, tuple(frames))


def _frame(line: str) -> Frame:
    symbol, _, library = line.split(maxsplit=1)[-1].strip().rpartition(" (")
    return Frame(symbol, PurePath(library.removesuffix(")")).name)


def shares(stacks: Sequence[Stack]) -> dict[Part, float]:
    """The share of each part, as a fraction of all samples."""
    counted = Counter(map(part_of, stacks))
    return {part: counted[part] / (len(stacks) or 1) for part in Part}


def part_of(stack: Stack) -> Part:
    """What the worker was at."""
    for pattern, part in ((_SETTLING, Part.SETTLING), (_DATABASE, Part.DATABASE), (_CALL, Part.CALL)):
        if any(pattern.match(frame.symbol) for frame in stack.frames):
            return part
    is_grpc = stack.thread.startswith(_NATIVE_THREAD) or owner_of(stack) in ("grpcio", "pygrpc-native")
    return Part.GRPC if is_grpc else Part.REST


def functions(stacks: Sequence[Stack], count: int) -> list[tuple[str, float]]:
    """Who has the most time of its own: compiled functions, libraries, the interpreter; with their shares."""
    owned = Counter(map(owner_of, stacks))
    return [(owner, samples / len(stacks)) for owner, samples in owned.most_common(count)]


def owner_of(stack: Stack) -> str:
    """The innermost function or library of the stack that has a name here."""
    named = filter(None, map(_owner_of_frame, stack.frames))
    return next(named, "pygrpc-native" if stack.thread.startswith(_NATIVE_THREAD) else "other")


def _owner_of_frame(frame: Frame) -> str:
    compiled = _COMPILED.match(frame.symbol)
    if compiled:
        function = _COROUTINE.sub("", compiled["function"]).replace("___", ".")
        return f"{function} ({compiled['module']})"
    if frame.symbol == _INTERPRETER:
        return "interpreted Python"
    return next((owner for start, owner in _LIBRARIES.items() if frame.library.startswith(start)), "")
