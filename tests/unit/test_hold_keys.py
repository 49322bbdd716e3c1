"""A key that is used again for a hold, after the chain has forgotten it and while its first hold is open."""

from typing import Final

import pytest

from processor.domain.account import Account
from processor.domain.command import NO_RECEIPT, Command, Kind
from processor.domain.decide import decide
from processor.domain.operation import original_from, state_after
from processor.domain.outcomes import Outcome
from processor.domain.program_document import DEFAULT_PROGRAM, program_from_document
from processor.domain.situation import Situation
from tests.history import recorded

NOW_US: Final = 1_790_000_000_000_000
PROGRAM: Final = program_from_document(1, 0, DEFAULT_PROGRAM)
MEMBER: Final = Account(1, 100, 0, b"")


def asked(kind: Kind, key: str, original_key: str = "") -> Command:
    points = 30 if kind is Kind.HOLD else 0
    return Command(
        kind, key, 1, "", NOW_US, "s", "t", NO_RECEIPT, 0, points=points, original_key=original_key
    )


HOLD: Final = asked(Kind.HOLD, "order-1")
FIRST: Final = decide(MEMBER, HOLD, PROGRAM, Situation(NOW_US))
WITH_HOLD: Final = MEMBER._replace(state=state_after(MEMBER.state, FIRST.effects))


def test_a_second_hold_of_the_key_is_refused_while_the_first_is_open() -> None:
    """Else neither of them could be told from the other."""
    second = decide(WITH_HOLD, HOLD, PROGRAM, Situation(NOW_US))
    assert FIRST.outcome is Outcome.APPLIED
    assert (second.outcome, second.details) == (Outcome.TOO_MANY_HOLDS, {"open_max": 10})
    assert (
        decide(WITH_HOLD, asked(Kind.HOLD, "order-2"), PROGRAM, Situation(NOW_US)).outcome is Outcome.APPLIED
    )


@pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.VOID])
def test_it_is_taken_once_the_first_is_over(kind: Kind) -> None:
    original = original_from(recorded(1, MEMBER, HOLD, FIRST))
    over = decide(WITH_HOLD, asked(kind, "over", "order-1"), PROGRAM, Situation(NOW_US, original))
    assert over.outcome is Outcome.APPLIED
    left = WITH_HOLD._replace(state=state_after(WITH_HOLD.state, over.effects))
    assert decide(left, HOLD, PROGRAM, Situation(NOW_US)).outcome is Outcome.APPLIED
