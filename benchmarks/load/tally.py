"""What became of the operations that were sent."""

import time
from collections import Counter
from typing import Final

from google.rpc import code_pb2

from benchmarks.answers import Answer
from benchmarks.latency import Latencies
from benchmarks.load.messages import Message
from benchmarks.load.sales import Sale
from benchmarks.mix import Intent, Mix

_SMOOTHED_OVER: Final = 64


class Tally:
    """Counts of operations; its clock is to be read before answers are."""

    def __init__(self, mix: Mix[Sale]) -> None:
        self._mix = mix
        self.latencies = Latencies()
        self._typical_us = 0.0
        self.now_ns = self._started_ns = self._ended_ns = time.perf_counter_ns()
        self.messages = 0
        self.applied = 0
        self.refused = 0
        self.repeated = 0
        self.failures: Counter[str] = Counter()

    def start(self) -> int:
        """Sending begins; returns now by perf_counter_ns."""
        self.now_ns = self._started_ns = self._ended_ns = time.perf_counter_ns()
        return self.now_ns

    @property
    def seconds(self) -> float:
        """From the start to the last answer."""
        return (self._ended_ns - self._started_ns) / 1e9

    @property
    def typical_seconds(self) -> float:
        """About how long answers take just now."""
        return self._typical_us / 1e6

    def read_clock(self) -> None:
        """What comes now has come now."""
        self.now_ns = time.perf_counter_ns()

    @property
    def needs_bodies(self) -> bool:
        """Whether answers are compared with later ones."""
        return self._mix.has_repeats

    @property
    def operations(self) -> int:
        """All of which something is known."""
        return self.applied + self.refused + self.repeated + self.failures.total()

    def count(self, intent: Intent[Sale], answer: Answer) -> None:
        """One operation is answered."""
        fault = self._mix.fault(intent, answer)
        if fault:
            self.failures[fault] += 1
        elif intent.original:
            self.repeated += 1
        elif answer.code == code_pb2.OK:
            self.applied += 1
        else:
            self.refused += 1

    def fail(self, operations: int, reason: str) -> None:
        """So many got no answer, or none of their own."""
        self.failures[reason] += operations

    def finish(self, message: Message) -> None:
        """Every operation of the message is answered: its latency counts, from when it was due."""
        self.messages += 1
        self._ended_ns = self.now_ns
        latency_us = (self.now_ns - message.due_ns) // 1_000
        self._typical_us += (latency_us - self._typical_us) / _SMOOTHED_OVER
        self.latencies.record(latency_us)
