"""What waits or is under way in a worker: how many operations of each chain, and the memory that all take."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from processor.call import Call
from processor.domain.command import Command
from processor.metrics import BatcherMetrics

# What a call takes at most of memory, from its request to its reply, and each line of its receipt: measured
# with texts of 64 characters that need four bytes each. Ordinary lines take less than half of it.
_COMMAND_BYTES: Final = 2_048
_LINE_BYTES: Final = 1_024


class Backlog:
    """What the lanes of one worker have taken on and not finished; whoever has gone is counted until then."""

    def __init__(self, metrics: BatcherMetrics, *, chain_ops_max: int, bytes_max: int) -> None:
        """`chain_ops_max` bounds the calls of one chain, `bytes_max` the memory that those of all take."""
        self._metrics = metrics
        self._chain_ops_max = chain_ops_max
        self._bytes_max = bytes_max
        self._ops: dict[int, int] = {}
        self._size_bytes = 0

    def ops(self, chain_id: int) -> int:
        """How many calls of a chain wait or are under way."""
        return self._ops.get(chain_id, 0)

    def has_memory(self, size_bytes: int) -> bool:
        """Whether so much can be taken; what is larger than the bound can, if nothing else is there."""
        return not self._size_bytes or self._size_bytes + size_bytes <= self._bytes_max

    @contextmanager
    def reserved(self, size_bytes: int) -> Iterator[None]:
        """Hold room for calls that are not queued yet."""
        self._size_bytes += size_bytes
        try:
            yield
        finally:
            self._size_bytes -= size_bytes

    def add(self, chain_id: int, ops: int, size_bytes: int) -> bool:
        """Count calls of one chain that are to be queued, which hold so much; False if there is no room."""
        chain_ops = self._ops.get(chain_id, 0) + ops
        if chain_ops > self._chain_ops_max or not self.has_memory(size_bytes):
            return False
        self._ops[chain_id] = chain_ops
        self._size_bytes += size_bytes
        self._metrics.count_queued(ops)
        return True

    def remove(self, chain_id: int, calls: Sequence[Call]) -> None:
        """Count calls that are done with, or that nobody waits for."""
        left_ops = self._ops.pop(chain_id) - len(calls)
        if left_ops:
            self._ops[chain_id] = left_ops
        self._size_bytes -= sum([bytes_held(call.command) for call in calls])
        self._metrics.count_queued(-len(calls))


def bytes_held(command: Command) -> int:
    """The memory that a call of this command takes."""
    return _COMMAND_BYTES + _LINE_BYTES * len(command.receipt.lines)
