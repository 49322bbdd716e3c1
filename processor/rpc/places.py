"""Places: how many calls may be under way; who finds none is refused at once, and may come again."""

from collections import defaultdict

from processor.domain.outcomes import Outcome
from processor.rpc.status import Refused


class Places:
    """So many places, each taken by a call as long as it is under way: `with places:`."""

    def __init__(self, places_max: int) -> None:
        self.places_max = places_max
        self.free = places_max

    @property
    def taken(self) -> int:
        """How many calls are under way."""
        return self.places_max - self.free

    def __enter__(self) -> None:
        """Take a place for what happens inside. Raises Refused if there is none."""
        if not self.free:
            raise Refused(Outcome.QUEUE_FULL)
        self.take()

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def take(self) -> None:
        """Take a place that is free, until it is given back."""
        self.free -= 1

    def give_back(self, places: int = 1) -> None:
        """Leave places."""
        self.free += places


class PlacesByChain:
    """As many places for each chain, so that none takes those of another."""

    def __init__(self, places_max: int) -> None:
        self._places = defaultdict[int, Places](lambda: Places(places_max))

    def of(self, chain_id: int) -> Places:
        """Those of one chain."""
        return self._places[chain_id]
