"""What a batch counts once it is committed, kept where a kill of this process can't reach it.

A worker that is killed between COMMIT and its counters would leave them behind the ledger. Its successor
reads the journal, asks the ledger whether the batch was committed, and counts it then. As the kill may also
come amid the counting, the totals that the counters must reach are written down before.
"""

import json
import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from processor.domain.counts import RecordedCounts
from processor.domain.operation import Operation
from processor.metrics import Totals

# Enough for what a batch of hundreds of chains counts; pages that are never written to take no memory.
_ENTRY_BYTES: Final = 262_144
_SLOT_BYTES: Final = 2 * _ENTRY_BYTES
_LENGTH: Final = struct.Struct("<I")


class Note(NamedTuple):
    """A batch: its counts by chain, and an operation by which the ledger tells whether it was committed."""

    chain_id: int
    idempotency_key: str
    entry_hash: bytes
    counts: Sequence[RecordedCounts]


class CommitJournal:
    """One slot for each batch that can be under way at once; survives this process if it has a file."""

    def __init__(self, file: Path | None, slots: int) -> None:
        """Open the file, or make it. `left_behind` has the slots that a process before this one filled."""
        size = slots * _SLOT_BYTES
        if file is None:
            memory = mmap.mmap(-1, size)
        else:
            with file.open("a+b") as opened:
                opened.truncate(max(size, file.stat().st_size))
                memory = mmap.mmap(opened.fileno(), 0)
        self._free = [Slot(memory, offset) for offset in range(0, len(memory), _SLOT_BYTES)]
        self.left_behind = [slot for slot in self._free if not slot.is_empty]

    @contextmanager
    def slot(self) -> Iterator["Slot"]:
        """A slot for one batch, empty again at the end. What was left behind must be cleared by then."""
        slot = self._free.pop()
        try:
            yield slot
        finally:
            slot.clear()
            self._free.append(slot)


class Slot:
    """Where one batch writes down, before each COMMIT, what it will count, and then up to where."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._note = _Entry(memory, offset)
        self._totals = _Entry(memory, offset + _ENTRY_BYTES)

    def note(self, counts: Sequence[RecordedCounts], witness: Operation) -> None:
        """Before COMMIT: the counts, with one of the batch's operations."""
        self._note.write(_format_note(counts, witness))

    def promise(self, totals: Totals) -> None:
        """Before counting: the totals that the counters are about to reach."""
        self._totals.write(json.dumps([[*series, total] for series, total in totals.items()]).encode())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing left to count."""
        return not (self._note.read() or self._totals.read())

    def read(self) -> Note | Totals:
        """The totals if they were written, else the note."""
        totals = self._totals.read()
        if totals:
            return {tuple(series): total for *series, total in json.loads(totals)}
        return _parse_note(self._note.read())

    def clear(self) -> None:
        """The batch is counted, or was never committed. The totals go last: they may be reached again."""
        self._note.write(b"")
        self._totals.write(b"")


class _Entry:
    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._memory = memory
        self._offset = offset

    def write(self, text: bytes) -> None:
        """Write; the length comes last, so that half of it is none. A text that is too long is left out."""
        start = self._offset + _LENGTH.size
        _LENGTH.pack_into(self._memory, self._offset, 0)
        if len(text) <= _ENTRY_BYTES - _LENGTH.size:
            self._memory[start : start + len(text)] = text
            _LENGTH.pack_into(self._memory, self._offset, len(text))

    def read(self) -> bytes:
        (length,) = _LENGTH.unpack_from(self._memory, self._offset)
        start = self._offset + _LENGTH.size
        return self._memory[start : start + length]


def _format_note(counts: Sequence[RecordedCounts], witness: Operation) -> bytes:
    identity = (witness.chain_id, witness.idempotency_key, witness.entry_hash.hex())
    return json.dumps([*identity, *map(_format_counts, counts)]).encode()


def _format_counts(counts: RecordedCounts) -> list[object]:
    return [counts.chain, [(*of_what, *sums) for of_what, sums in counts.sums.items()]]


def _parse_note(text: bytes) -> Note:
    chain_id, idempotency_key, entry_hash, *counts = json.loads(text)
    return Note(chain_id, idempotency_key, bytes.fromhex(entry_hash), list(map(_parse_counts, counts)))


def _parse_counts(parsed: Sequence[Any]) -> RecordedCounts:
    chain, sums = parsed
    return RecordedCounts(
        chain,
        {(kind, outcome): (count, issued, redeemed) for kind, outcome, count, issued, redeemed in sums},
    )
