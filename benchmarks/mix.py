"""What tills send, and what they must hear: accruals, some redemptions, and repeats of answered calls."""

import random
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from benchmarks.answers import Answer

# Of the last calls, those that may be sent again.
_REMEMBERED: Final = 200
_EXPECTED_REFUSALS: Final = {"INSUFFICIENT_POINTS", "REDEMPTION_BELOW_MINIMUM", "REDEMPTION_ABOVE_LIMIT"}

Request = TypeVar("Request")
Made_co = TypeVar("Made_co", covariant=True)


class Source(Protocol[Made_co]):
    """Makes requests, each under a key of its own."""

    def accrue(self) -> Made_co:
        """A receipt that earns points."""

    def redeem(self) -> Made_co:
        """One that is paid with points."""


class Shares(NamedTuple):
    """Of all calls; the others accrue."""

    redeemed: float
    repeated: float


ACCRUALS: Final = Shares(0, 0)
REALISTIC: Final = Shares(redeemed=0.15, repeated=0.05)


class Intent(NamedTuple, Generic[Request]):
    """A call to make; if it repeats one, `original` is the answer to that."""

    request: Request
    original: Answer | None


class Mix(Generic[Request]):
    """One till's calls. The same call is never under way twice."""

    def __init__(self, source: Source[Request], shares: Shares = REALISTIC) -> None:
        self._source = source
        self._repeated_to = shares.repeated
        self._redeemed_to = shares.repeated + shares.redeemed
        self.has_repeats = shares.repeated > 0
        self._answered: list[Intent[Request]] = []

    def draw(self) -> Intent[Request]:
        """The next call."""
        lot = random.random()
        if lot < self._repeated_to and self._answered:
            return self._answered.pop()
        if lot < self._redeemed_to:
            return Intent(self._source.redeem(), None)
        return Intent(self._source.accrue(), None)

    def fault(self, intent: Intent[Request], answer: Answer) -> str:
        """What is wrong with an answer; "" if it is as it must be, a refusal that tills expect included."""
        reason = answer.reason()
        if reason and reason not in _EXPECTED_REFUSALS:
            return reason
        if intent.original:
            self._remember(intent)
            return "" if answer == intent.original._replace(replayed=True) else "repeat answered otherwise"
        if self.has_repeats:
            self._remember(Intent(intent.request, answer))
        return "new key answered as a repeat" if answer.replayed else ""

    def _remember(self, answered: Intent[Request]) -> None:
        """In any place, so that young and old ones are repeated; of too many, a random one is forgotten."""
        place = random.randrange(_REMEMBERED)
        if place < len(self._answered):
            self._answered[place], answered = answered, self._answered[place]
        if len(self._answered) < _REMEMBERED:
            self._answered.append(answered)
