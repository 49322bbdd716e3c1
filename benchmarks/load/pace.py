"""When messages are sent: as soon as others are answered, or on a schedule of their own."""

import math
import random
from typing import Final, Protocol

_NS: Final = 1_000_000_000


class Pace(Protocol):
    """Times are those of perf_counter_ns."""

    def start(self, now_ns: int) -> None:
        """The run begins."""

    def due_ns(self, now_ns: int, in_flight: int) -> int | None:
        """When the next message was to be sent, if that is not later than now; it is taken as sent then."""

    def wait_seconds(self, now_ns: int, in_flight: int) -> float:
        """How long nothing is due unless an answer comes."""

    def is_over(self, now_ns: int) -> bool:
        """Whether nothing will be due any more."""


class ClosedLoop:
    """`in_flight` messages under way at any time."""

    def __init__(self, in_flight: int, seconds: float | None = None) -> None:
        self._in_flight = in_flight
        self._seconds = seconds
        self._end_ns = 0

    def start(self, now_ns: int) -> None:
        """As `Pace.start`."""
        self._end_ns = _end_ns(now_ns, self._seconds)

    def due_ns(self, now_ns: int, in_flight: int) -> int | None:
        """As `Pace.due_ns`."""
        return now_ns if in_flight < self._in_flight and now_ns < self._end_ns else None

    def wait_seconds(self, _now_ns: int, _in_flight: int) -> float:
        """As `Pace.wait_seconds`."""
        return math.inf

    def is_over(self, now_ns: int) -> bool:
        """As `Pace.is_over`."""
        return now_ns >= self._end_ns


class OpenLoop:
    """Messages that arrive `per_second` by a Poisson process, whether others are answered or not.

    At most `in_flight` are under way: further ones wait here, and their time runs.
    """

    def __init__(self, per_second: float, in_flight: int, seconds: float | None = None) -> None:
        self._per_ns = per_second / _NS
        self._in_flight = in_flight
        self._seconds = seconds
        self._end_ns = 0
        self._next_ns = 0.0

    def start(self, now_ns: int) -> None:
        """As `Pace.start`."""
        self._end_ns = _end_ns(now_ns, self._seconds)
        self._next_ns = now_ns + random.expovariate(self._per_ns)

    def due_ns(self, now_ns: int, in_flight: int) -> int | None:
        """As `Pace.due_ns`."""
        due_ns = self._next_ns
        if due_ns > now_ns or in_flight >= self._in_flight or self.is_over(now_ns):
            return None
        self._next_ns += random.expovariate(self._per_ns)
        return int(due_ns)

    def wait_seconds(self, now_ns: int, in_flight: int) -> float:
        """As `Pace.wait_seconds`."""
        return max(self._next_ns - now_ns, 0) / _NS if in_flight < self._in_flight else math.inf

    def is_over(self, _now_ns: int) -> bool:
        """As `Pace.is_over`: what has arrived before the end is sent, however late."""
        return self._next_ns >= self._end_ns


def _end_ns(now_ns: int, seconds: float | None) -> int:
    return now_ns + round((3e9 if seconds is None else seconds) * _NS)
