"""What the rules say to a command."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from processor.domain.effects import NO_EFFECTS, Effects
from processor.domain.outcomes import Outcome
from processor.domain.records import record

_APPLIED: Final = Outcome.APPLIED
NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})


class AppliedRule(NamedTuple):
    """One rule's part in a decision: its name in the program's document, and what it gave or took.

    `points` are earned (positive) or spent (negative), `minor` is taken off the receipt.
    """

    rule: str
    points: int = 0
    minor: int = 0


class Decision(NamedTuple):
    """What a command does to an account: all of it only if it is `APPLIED`, else the refusal's `details`.

    `total_minor` is that of the receipt unless it is set. `shortfall_points` are points that were to be taken
    and could not, and `shortfall_minor` what the till keeps back for them. `flags` name soft limits that were
    exceeded, `differences` what an online call would have answered otherwise.
    """

    outcome: Outcome
    earned_points: int = 0
    redeemed_points: int = 0
    redeemed_minor: int = 0
    details: Mapping[str, object] = NO_DETAILS
    discount_minor: int = 0
    total_minor: int | None = None
    shortfall_points: int = 0
    shortfall_minor: int = 0
    effects: Effects = NO_EFFECTS
    applied_rules: tuple[AppliedRule, ...] = ()
    flags: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    hold_expires_at_us: int = 0


def plain_sale(
    earned_points: int, redeemed_points: int, redeemed_minor: int, applied_rules: tuple[AppliedRule, ...]
) -> Decision:
    """That of a sale which changes nothing but the balance."""
    values = (
        _APPLIED,
        earned_points,
        redeemed_points,
        redeemed_minor,
        NO_DETAILS,
        0,
        None,
        0,
        0,
        NO_EFFECTS,
        applied_rules,
        (),
        (),
        0,
    )
    return record(Decision, values)


class Refusal(Exception):
    """Ends a decision: the command is not applied."""

    def __init__(self, outcome: Outcome, **details: object) -> None:
        super().__init__(outcome.name)
        self.decision = Decision(outcome, details=details)
