"""Places: how many calls may be under way; who finds none is refused at once, and may come again."""

from collections.abc import Iterator
from contextlib import contextmanager

from processor.domain.outcomes import Outcome
from processor.rpc.status import Refused


class Places:
    """So many places, each taken by a call as long as it is under way."""

    def __init__(self, places_max: int) -> None:
        self._free = places_max

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a place for what happens inside. Raises Refused if there is none."""
        if not self._free:
            raise Refused(Outcome.QUEUE_FULL)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
