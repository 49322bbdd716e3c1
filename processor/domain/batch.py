"""What a batch of calls asks of storage, and what it gets."""

from collections.abc import Sequence
from typing import NamedTuple

from processor.domain.account import Account
from processor.domain.operation import Recorded


class Wanted(NamedTuple):
    """What a batch needs to know: its members, cards and keys, each without repetition.

    Keys are looked up among the operations whose occurred_at is `earliest_us` or later. The chain's window
    begins at `window_from_us`.
    """

    member_ids: Sequence[int]
    cards: Sequence[str]
    idempotency_keys: Sequence[str]
    earliest_us: int
    window_from_us: int


class Loaded(NamedTuple):
    """What storage knows of it; whatever does not exist is absent.

    A key may be there more than once: it can be used again when its operation has left the window and the
    partition that the window begins in. Keys of operations from `binding_from_us` on are taken.
    """

    accounts: dict[int, Account]
    members_by_card: dict[str, int]
    recorded: dict[str, list[Recorded]]
    binding_from_us: int


class AccountChange(NamedTuple):
    """An account as a batch leaves it, and the sequence that it had when the batch read it."""

    member_id: int
    balance_points: int
    member_sequence: int
    entry_hash: bytes
    expected_sequence: int
