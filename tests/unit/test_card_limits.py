"""A member with many cards: each of them is counted by itself, up to a bound."""

from typing import Final

import pytest

from processor.domain.account import Account
from processor.domain.command import Command, Kind, Receipt
from processor.domain.decide import decide
from processor.domain.effects import SUBJECTS_MAX
from processor.domain.operation import state_after
from processor.domain.outcomes import Outcome
from processor.domain.program_document import DEFAULT_PROGRAM, program_from_document
from processor.domain.situation import Situation

NOW_US: Final = 1_790_000_000_000_000
PROGRAM: Final = program_from_document(
    1,
    0,
    {**DEFAULT_PROGRAM, "limits": [{"scope": "card", "period": "day", "operations": 2, "action": "refuse"}]},
)


def outcomes(cards: int, rounds: int) -> list[Outcome]:
    """What becomes of sales with each of a member's cards in turn, round by round."""
    account, decided = Account(1, 0, 0, b""), []
    for number in range(rounds * cards):
        receipt = Receipt("1", 100, ())
        command = Command(Kind.ACCRUE, f"{number}", 0, f"{number % cards}", NOW_US, "s", "t", receipt, 0)
        decision = decide(account, command, PROGRAM, Situation(NOW_US))
        decided.append(decision.outcome)
        account = account._replace(state=state_after(account.state, decision.effects))
    return decided


@pytest.mark.parametrize("cards", [1, 9, SUBJECTS_MAX - 1])
def test_a_limit_holds_for_each_card(cards: int) -> None:
    decided = outcomes(cards, 4)
    assert decided.count(Outcome.APPLIED) == 2 * cards
    assert set(decided[2 * cards :]) == {Outcome.LIMIT_EXCEEDED}
