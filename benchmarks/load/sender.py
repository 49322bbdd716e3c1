"""Sends messages at a pace, over the connections of one process, until all are answered."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Final, Protocol

from benchmarks.load.desk import Desk
from benchmarks.load.messages import Message
from benchmarks.load.pace import Pace
from benchmarks.load.pool import Pool

# Written at once: enough that the system call does not matter, and not so many that the first waits long.
_CALLS_AT_ONCE: Final = 32
# A system call costs more than what is done with an answer: they are read together where they can be.
_GATHER_SHARE: Final = 0.03
_GATHER_SECONDS_MIN: Final = 100e-6
_GATHER_SECONDS_MAX: Final = 2e-3
_WAIT_SECONDS: Final = 0.1
_OUTAGE_SECONDS_MAX: Final = 5
_CLOSE_SECONDS_MAX: Final = 5


class Way(Protocol):
    """How messages travel."""

    def send(self, message: Message) -> bool:
        """Whether there was room for it."""

    def close(self) -> None:
        """All are answered, and no more will be sent for now."""


class Sender:
    """If for `timeout_seconds` no answer comes to anything, none is waited for any more."""

    def __init__(self, pool: Pool, way: Way, desk: Desk, timeout_seconds: float) -> None:
        self._pool = pool
        self._way = way
        self._desk = desk
        self._timeout_seconds = timeout_seconds
        self._is_sending = False
        self.is_cut_off = False  # nobody could be reached any more

    def stop(self) -> None:
        """Send nothing new, whatever the pace says."""
        self._is_sending = False

    def run(self, messages: Iterator[Message], pace: Pace) -> None:
        """Send until the messages or the pace end, or nobody can be reached; wait for every answer."""
        self._is_sending = True
        ready = next(messages, None)
        pace.start(self._desk.tally.start())
        while self._is_sending or self._desk.in_flight:
            ready = self._send_due(ready, messages, pace)
            self._exchange(self._wait_seconds(pace))
            self._gather()
            self._give_up_in_time()
        self._close()

    def _send_due(self, ready: Message | None, messages: Iterator[Message], pace: Pace) -> Message | None:
        """Send while something is due and there is room; returns the message that is ready for the next time.

        Making a message takes time that is none of the service's, so it is made before it is due.
        """
        for number in count(1):
            message = self._due(ready, pace)
            if message is None or not self._sent(message):
                break
            if message is ready:
                ready = next(messages, None)
            if len(message.intents) > 1 or number % _CALLS_AT_ONCE == 0:
                self._pool.flush()
        return ready

    def _due(self, ready: Message | None, pace: Pace) -> Message | None:
        """What is to be sent now."""
        desk = self._desk
        if desk.to_send_again:
            return desk.to_send_again.popleft()
        if not self._is_sending:
            return None
        now_ns = time.perf_counter_ns()
        due_ns = pace.due_ns(now_ns, desk.in_flight)
        if ready is None or (due_ns is None and pace.is_over(now_ns)):
            self._is_sending = False
        if ready is None or due_ns is None:
            return None
        ready.due_ns = due_ns
        desk.begin(now_ns)
        return ready

    def _sent(self, message: Message) -> bool:
        if self._way.send(message):
            return True
        self._desk.to_send_again.appendleft(message)
        return False

    def _wait_seconds(self, pace: Pace) -> float:
        if not self._is_sending or self._desk.to_send_again:
            return _WAIT_SECONDS
        return min(pace.wait_seconds(time.perf_counter_ns(), self._desk.in_flight), _WAIT_SECONDS)

    def _exchange(self, wait_seconds: float) -> None:
        self._pool.flush()
        self._pool.wait(wait_seconds, self._desk.tally.read_clock)
        self._pool.renew()

    def _gather(self) -> None:
        """Let answers come together, if they take so long anyway that it does not show."""
        seconds = min(_GATHER_SHARE * self._desk.tally.typical_seconds, _GATHER_SECONDS_MAX)
        if self._desk.in_flight and seconds > _GATHER_SECONDS_MIN:
            time.sleep(seconds)

    def _give_up_in_time(self) -> None:
        if self._desk.in_flight and self._desk.silent_seconds() > self._timeout_seconds:
            self._pool.lose(f"no answer in {self._timeout_seconds:g} seconds")
        if self._pool.outage_seconds() > _OUTAGE_SECONDS_MAX:
            self._is_sending = False
            self.is_cut_off = True
            self._desk.give_up(f"UNAVAILABLE: {self._pool.loss}")

    def _close(self) -> None:
        self._way.close()
        deadline = time.perf_counter() + _CLOSE_SECONDS_MAX
        while self._pool.has_streams and time.perf_counter() < deadline:
            self._exchange(_WAIT_SECONDS)
