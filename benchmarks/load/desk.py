"""Where messages come back to."""

import time
from collections import deque
from typing import Final

from google.rpc import code_pb2

from benchmarks.answers import Answer, answer_of_result
from benchmarks.load.messages import Message
from benchmarks.load.sales import Sale
from benchmarks.load.tally import Tally
from benchmarks.mix import Intent
from loyalty.v1.operation_pb2 import OperationResult

_REFUSALS_MAX: Final = 5


class Desk:
    """Keeps count of what is under way, and has the tally count what has become of it."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.in_flight = 0
        self._heard_ns = 0
        self.to_send_again: deque[Message] = deque()

    def begin(self, now_ns: int) -> None:
        """One more message is under way."""
        if self.in_flight == 0:
            self._heard_ns = now_ns
        self.in_flight += 1

    def silent_seconds(self) -> float:
        """For how long no message has come to its end, though some are under way."""
        return (time.perf_counter_ns() - self._heard_ns) / 1e9

    def take_result(self, message: Message, intent: Intent[Sale], result: OperationResult) -> None:
        """One operation of a message that holds many."""
        message.missing -= 1
        is_brief = result.HasField("operation") and not self.tally.needs_bodies
        answer = Answer(code_pb2.OK, b"", result.replayed) if is_brief else answer_of_result(result)
        self.tally.count(intent, answer)

    def finish(self, message: Message) -> None:
        """Every operation of it is answered."""
        self._end()
        self.tally.finish(message)

    def fail(self, message: Message, reason: str) -> None:
        """What of it has no answer will get none."""
        self._end()
        self.tally.fail(message.missing, reason)

    def give_up(self, reason: str) -> None:
        """Nobody is there to send to."""
        while self.to_send_again:
            self.fail(self.to_send_again.popleft(), reason)

    def send_again(self, message: Message) -> None:
        """No server has looked at it."""
        message.refusals += 1
        if message.refusals > _REFUSALS_MAX:
            self.fail(message, "UNAVAILABLE: no server takes it")
        else:
            self.to_send_again.append(message)

    def _end(self) -> None:
        self.in_flight -= 1
        self._heard_ns = self.tally.now_ns
