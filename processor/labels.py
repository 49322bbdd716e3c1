"""A guard against labels without bound: whoever names metrics after strangers runs out of memory one day."""

from collections import Counter
from typing import Final

OTHER: Final = "other"
# Whoever is refused before the key is read is of no chain yet.
UNKNOWN: Final = "unknown"
CHAINS_MAX: Final = 50
TERMINALS_MAX: Final = 100
# Nearly every terminal has its one mishap; those that have several are to be found.
TERMINALS_AFTER: Final = 3
_AWAITED_MAX: Final = 10_000


class BoundedLabels:
    """The first `limit` values that come `after` times get a label of their own; the rest share "other"."""

    def __init__(self, limit: int, after: int = 1) -> None:
        self.limit = limit
        self.after = after
        self._known: set[str] = set()
        self._awaited = Counter[str]()

    def label(self, value: str) -> str:
        """The label for a value; once it is its own, the same for ever after."""
        if value in self._known:
            return value
        if len(self._known) >= self.limit or not self._has_come_often(value):
            return OTHER
        self._known.add(value)
        return value

    def _has_come_often(self, value: str) -> bool:
        if len(self._awaited) >= _AWAITED_MAX:
            self._awaited.clear()
        self._awaited[value] += 1
        return self._awaited[value] >= self.after


CHAINS: Final = BoundedLabels(CHAINS_MAX)
TERMINALS: Final = BoundedLabels(TERMINALS_MAX, TERMINALS_AFTER)
