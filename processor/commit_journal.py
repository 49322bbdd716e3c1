"""What a batch will count once it is committed, kept where a kill of this process can't reach it.

A worker that is killed between COMMIT and its counters would leave them behind the ledger. Its successor
reads the journal, asks the ledger whether the batch was committed, and counts it then.
"""

import json
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from processor.domain.operation import Operation
from processor.metrics import RecordedCounts

_SLOT_BYTES: Final = 8_192
_LENGTH: Final = struct.Struct("<I")


class Note(NamedTuple):
    """A batch: its counts, and an operation by which the ledger tells whether it was committed."""

    chain_id: int
    idempotency_key: str
    response: bytes
    counts: RecordedCounts


class CommitJournal:
    """One slot for each batch that can be under way at once; survives this process if it has a file."""

    def __init__(self, file: Path | None, slots: int) -> None:
        """Open the file, or make it. `left_behind` holds what a process before this one did not count."""
        size = slots * _SLOT_BYTES
        if file is None:
            self._memory = mmap.mmap(-1, size)
        else:
            with file.open("a+b") as opened:
                opened.truncate(max(size, file.stat().st_size))
                self._memory = mmap.mmap(opened.fileno(), 0)
        self.left_behind = [note for slot in self._offsets() if (note := self._read(slot))]
        self._free = list(self._offsets())
        for slot in self._free:
            self._clear(slot)

    def _offsets(self) -> range:
        return range(0, len(self._memory), _SLOT_BYTES)

    @contextmanager
    def slot(self) -> Iterator["Slot"]:
        """A slot for one batch, empty again at the end."""
        offset = self._free.pop()
        try:
            yield Slot(self._memory, offset)
        finally:
            self._clear(offset)
            self._free.append(offset)

    def _clear(self, offset: int) -> None:
        _LENGTH.pack_into(self._memory, offset, 0)

    def _read(self, offset: int) -> Note | None:
        (length,) = _LENGTH.unpack_from(self._memory, offset)
        if not length:
            return None
        start = offset + _LENGTH.size
        return _parse(self._memory[start : start + length])


class Slot:
    """Where one batch writes down, before each COMMIT, what it will count."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._memory = memory
        self._offset = offset

    def note(self, counts: RecordedCounts, witness: Operation) -> None:
        """Write; the length comes last, so that half a note is none."""
        text = _format(Note(witness.chain_id, witness.idempotency_key, witness.response, counts))
        if len(text) > _SLOT_BYTES - _LENGTH.size:
            return
        start = self._offset + _LENGTH.size
        _LENGTH.pack_into(self._memory, self._offset, 0)
        self._memory[start : start + len(text)] = text
        _LENGTH.pack_into(self._memory, self._offset, len(text))


def _format(note: Note) -> bytes:
    chain, by_kind_and_outcome, issued, redeemed = note.counts
    operations = [(*pair, count) for pair, count in by_kind_and_outcome.items()]
    counts = (chain, operations, issued, redeemed)
    return json.dumps([note.chain_id, note.idempotency_key, note.response.hex(), counts]).encode()


def _parse(text: bytes) -> Note:
    chain_id, idempotency_key, response, (chain, operations, issued, redeemed) = json.loads(text)
    by_kind_and_outcome = {(kind, outcome): count for kind, outcome, count in operations}
    counts = RecordedCounts(chain, by_kind_and_outcome, issued, redeemed)
    return Note(chain_id, idempotency_key, bytes.fromhex(response), counts)
