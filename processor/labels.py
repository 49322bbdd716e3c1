"""A guard against labels without bound: whoever names metrics after strangers runs out of memory one day."""

from typing import Final

OTHER: Final = "other"
CHAINS_MAX: Final = 50
TERMINALS_MAX: Final = 100


class BoundedLabels:
    """The first `limit` values get a label of their own; the rest share "other"."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known: set[str] = set()

    def label(self, value: str) -> str:
        """The label for a value; the same for ever after."""
        if value in self._known:
            return value
        if len(self._known) >= self.limit:
            return OTHER
        self._known.add(value)
        return value


CHAINS: Final = BoundedLabels(CHAINS_MAX)
TERMINALS: Final = BoundedLabels(TERMINALS_MAX)
