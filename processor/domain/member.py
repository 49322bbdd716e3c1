"""A member as it is read: with the account, or with all cards."""

from typing import NamedTuple

from processor.domain.account import Account


class Holder(NamedTuple):
    """A member's account, and the status of the card that the member was found by (open if by number)."""

    account: Account
    card_status: int


class MemberCard(NamedTuple):
    """A card or phone number, and whether it may be used (`CardStatus`)."""

    card: str
    status: int


class Member(NamedTuple):
    """`status` is a `MemberStatus`, `segments` are names between commas."""

    member_id: int
    status: int
    segments: str
    cards: tuple[MemberCard, ...]
