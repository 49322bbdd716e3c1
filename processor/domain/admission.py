"""Who may make a call at all, whatever the rules say to it."""

from typing import Final

from processor.domain.account import CardStatus, MemberStatus
from processor.domain.command import Command, Kind
from processor.domain.outcomes import Outcome

_CARD_REPLACED: Final = CardStatus.REPLACED
_CARD_BLOCKED: Final = CardStatus.BLOCKED
_MEMBER_CLOSED: Final = MemberStatus.CLOSED
_SPENDING_KINDS: Final = frozenset({Kind.HOLD, Kind.CAPTURE})


def barred(member_status: int, card_status: int, command: Command) -> Outcome | None:
    """Why a call can't be made for a member with this card (`CardStatus.OPEN` without one); None if it can.

    A blocked card earns and gives back, but spends nothing; a replaced one and a closed member do nothing.
    What was sold offline with such a card is another matter: see `is_made_already`.
    """
    if member_status == _MEMBER_CLOSED:
        return Outcome.MEMBER_CLOSED
    if card_status == _CARD_REPLACED:
        return Outcome.CARD_REPLACED
    if card_status == _CARD_BLOCKED and _spends(command):
        return Outcome.CARD_BLOCKED
    return None


def is_made_already(command: Command, member_status: int) -> bool:
    """Whether it is a sale that is recorded although its card is barred now: the till could not know.

    The sale earns what it earns, and what was paid with points is a shortfall: whoever blocks or replaces a
    card does so to keep the points.
    """
    return command.offline and member_status != _MEMBER_CLOSED


def _spends(command: Command) -> bool:
    return bool(command.redeem_points or command.reward_ids or command.kind in _SPENDING_KINDS)
