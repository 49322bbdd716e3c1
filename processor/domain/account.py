"""A member's points, as the rules see them."""

from enum import IntEnum
from typing import NamedTuple


class MemberStatus(IntEnum):
    """A closed member can do nothing. The numbers are stored."""

    OPEN = 0
    CLOSED = 1


class CardStatus(IntEnum):
    """A blocked card can't redeem; a replaced one does nothing. The numbers are stored."""

    OPEN = 0
    BLOCKED = 1
    REPLACED = 2


class Account(NamedTuple):
    """The state that a call changes, and what the operator has set.

    `balance_points` are all of the member's points: what can be spent, what is held and what is pending;
    below zero it is a debt. `member_sequence` counts the member's recorded operations, and `entry_hash` is
    the hash of the last of them (empty before the first). `state` is a serialised `MemberState`, empty if
    there is nothing in it. The ledger's operations add up to all of these. `segments` (names between commas)
    and `status` are the operator's.
    """

    member_id: int
    balance_points: int
    member_sequence: int
    entry_hash: bytes
    state: bytes = b""
    segments: str = ""
    status: int = MemberStatus.OPEN


class CardHolder(NamedTuple):
    """Whose card it is, and whether it may be used (`CardStatus`)."""

    member_id: int
    status: int = CardStatus.OPEN
