"""How long the parts of a run have taken."""

from time import perf_counter


class Laps:
    """Seconds by part, in order; a part lasts from the end of the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = perf_counter()

    def end(self, part: str) -> None:
        """Note that a part is over."""
        ended = perf_counter()
        self.seconds[part] = round(ended - self._started, 1)
        self._started = ended
