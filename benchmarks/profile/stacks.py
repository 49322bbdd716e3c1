"""Sampled stacks, and what of them belongs to which part of a call's way."""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple


class Part(StrEnum):
    """Of the way of a call; a sample belongs to the first one that its stack tells of."""

    SETTLING = "a batch: decisions, hashes, replies"
    DATABASE = "a batch: asyncpg and the transaction"
    CALL = "a call: from its bytes to its lane, and its end"
    REST = "gRPC, the event loop, and what else there is"


class Stack(NamedTuple):
    """Frames as `function (file:line)`, the outermost first, and how often they were met."""

    frames: tuple[str, ...]
    samples: int


# A compiled function has no frames: its time is that of whoever called it.
_SETTLING: Final = ("processor/settlement.py", "Ledger._settle", "Ledger._prepare", "recorded_counts")
_BATCH: Final = ("processor/lane.py", "processor/ledger.py")
_CALL: Final = ("processor/rpc/", "processor/batcher.py", "processor/backlog.py", "processor/call.py")


def read_stacks(lines: Iterable[str]) -> Iterator[Stack]:
    """Of py-spy's format `raw`: frames between semicolons, then the count."""
    for line in lines:
        frames, _, samples = line.rstrip("\n").rpartition(" ")
        yield Stack(tuple(frames.split(";")), int(samples))


def shares(stacks: Iterable[Stack]) -> dict[Part, float]:
    """The share of each part, as a fraction of all samples."""
    counted: Counter[Part] = Counter()
    for stack in stacks:
        counted[part_of(stack)] += stack.samples
    whole = counted.total() or 1
    return {part: counted[part] / whole for part in Part}


def part_of(stack: Stack) -> Part:
    """What the worker was at."""
    if _tells_of(stack.frames, _BATCH):
        # The transaction's own functions stand below those that settle, where both are there.
        is_settling = _tells_of(stack.frames[-1:], _SETTLING) or _tells_of(stack.frames, _SETTLING[:1])
        return Part.SETTLING if is_settling else Part.DATABASE
    return Part.CALL if _tells_of(stack.frames, _CALL) else Part.REST


def functions(stacks: Iterable[Stack], count: int) -> list[tuple[str, float]]:
    """The functions with the most time of their own, without line numbers, and their shares of it all."""
    own: Counter[str] = Counter()
    for stack in stacks:
        function, _, _ = stack.frames[-1].rpartition(":")
        own[f"{function})"] += stack.samples
    whole = own.total() or 1
    return [(function, samples / whole) for function, samples in own.most_common(count)]


def _tells_of(frames: Iterable[str], names: Iterable[str]) -> bool:
    return any(name in frame for frame in frames for name in names)
