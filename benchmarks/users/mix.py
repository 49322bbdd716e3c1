"""What tills send, and what they must hear: accruals, some redemptions, and repeats of answered calls."""

import random
from collections import deque
from typing import Final, NamedTuple

from benchmarks.answers import Answer
from benchmarks.requests import Requests
from loyalty.v1.transaction_service_pb2 import OperationRequest

_REPEATED_SHARE: Final = 0.05
_REDEEMED_SHARE: Final = 0.15
# Of the last calls, those that may be sent again.
_REMEMBERED: Final = 200
_EXPECTED_REFUSALS: Final = {"INSUFFICIENT_POINTS", "REDEMPTION_BELOW_MINIMUM", "REDEMPTION_ABOVE_LIMIT"}


class Intent(NamedTuple):
    """A call to make; if it repeats one, `original` is the answer to that."""

    request: OperationRequest
    original: Answer | None


class Mix:
    """One till's calls."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._answered: deque[tuple[OperationRequest, Answer]] = deque(maxlen=_REMEMBERED)

    def draw(self) -> Intent:
        """The next call."""
        lot = random.random()
        if lot < _REPEATED_SHARE and self._answered:
            return Intent(*random.choice(self._answered))
        if lot < _REPEATED_SHARE + _REDEEMED_SHARE:
            return Intent(OperationRequest(redeem=self._requests.redeem()), None)
        return Intent(OperationRequest(accrue=self._requests.accrue()), None)

    def fault(self, intent: Intent, answer: Answer) -> str:
        """What is wrong with an answer; "" if it is as it must be, a refusal that tills expect included."""
        reason = answer.reason()
        if reason and reason not in _EXPECTED_REFUSALS:
            return reason
        if intent.original:
            return "" if answer == intent.original._replace(replayed=True) else "repeat answered otherwise"
        self._answered.append((intent.request, answer))
        return "new key answered as a repeat" if answer.replayed else ""
