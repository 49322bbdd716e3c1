"""What a batch of calls asks of storage, what it gets, and what it leaves to be written."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processor.domain.account import Account, CardHolder
from processor.domain.operation import Operation, Original, Recorded
from processor.domain.state import Tally


class Wanted(NamedTuple):
    """What a batch needs to know: its members, cards and keys, each without repetition.

    Keys are looked up among the operations whose occurred_at is `earliest_us` or later. The chain's window
    begins at `window_from_us`. `original_keys` name operations that are to be undone or taken further,
    however old they are. `subjects` are the terminals and stores whose tallies are needed, which are locked.
    """

    member_ids: Sequence[int]
    cards: Sequence[str]
    idempotency_keys: Sequence[str]
    earliest_us: int
    window_from_us: int
    original_keys: Sequence[str] = ()
    subjects: Sequence[str] = ()


class Loaded(NamedTuple):
    """What storage knows of it; whatever does not exist is absent.

    A key may be there more than once: it can be used again when its operation has left the window and the
    partition that the window begins in. Keys of operations from `binding_from_us` on are taken.
    """

    accounts: dict[int, Account]
    cards: dict[str, CardHolder]
    recorded: dict[str, list[Recorded]]
    binding_from_us: int
    originals: dict[str, list[Original]]
    tallies: dict[str, Tally]


class AccountChange(NamedTuple):
    """An account as a batch leaves it, and the sequence that it had when the batch read it."""

    account: Account
    expected_sequence: int


class Due(NamedTuple):
    """When something of a member's state must be looked at again; earlier than any time noted before."""

    due_at_us: int
    member_id: int


class Written(NamedTuple):
    """What a batch leaves: rows to append, accounts to save, times to note, tallies of shops.

    Accounts are in ascending order of their members, in which every process locks them.
    """

    operations: Sequence[Operation]
    accounts: Sequence[AccountChange]
    dues: Sequence[Due]
    tallies: Mapping[str, Tally]
