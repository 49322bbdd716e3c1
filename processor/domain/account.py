"""A member's points, as the rules see them."""

from typing import NamedTuple


class Account(NamedTuple):
    """The state that a call changes.

    `member_sequence` counts the member's recorded operations, and `entry_hash` is the hash of the last of
    them (empty before the first).
    """

    member_id: int
    balance_points: int
    member_sequence: int
    entry_hash: bytes
