"""What the processor asks of the world: storage, the encoding of replies, the directory of chains."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from processor.domain.account import Account
from processor.domain.chain import Chain
from processor.domain.operation import Operation, Recorded
from processor.domain.outcomes import Outcome


class Wanted(NamedTuple):
    """What a batch needs to know: its members, cards and keys, each without repetition.

    Keys are looked up among the operations whose occurred_at lies between `earliest_us` and `latest_us`.
    """

    member_ids: Sequence[int]
    cards: Sequence[str]
    idempotency_keys: Sequence[str]
    earliest_us: int
    latest_us: int


class Loaded(NamedTuple):
    """What storage knows of it; whatever does not exist is absent."""

    accounts: dict[int, Account]
    members_by_card: dict[str, int]
    recorded: dict[str, Recorded]


class LedgerTransaction(Protocol):
    """One open transaction of one chain; failures are those of `processor.domain.failures`."""

    async def load(self, wanted: Wanted) -> Loaded:
        """Lock and read the accounts, then look the keys up."""
        ...

    async def save(self, operations: Sequence[Operation], accounts: Sequence[Account]) -> None:
        """Append the operations and update the accounts that they changed."""
        ...


class LedgerStore(Protocol):
    """The ledger's storage."""

    def transaction(
        self, chain_id: int, occurred_at_us: Sequence[int]
    ) -> AbstractAsyncContextManager[LedgerTransaction]:
        """Open a transaction that may append operations of these times; commits at the end, durably.

        An error inside rolls back. Raises StorageUnavailable, BatchConflict, OutcomeUnknown or RowRejected.
        """
        ...


class Encoder(Protocol):
    """Turns decisions into the bytes that a till gets."""

    def applied(self, operation: Operation) -> bytes:
        """The reply to an applied operation."""
        ...

    def refused(self, outcome: Outcome, details: Mapping[str, object]) -> bytes:
        """The status of a call that was not applied, with `details` as its metadata."""
        ...


class Directory(Protocol):
    """The chains as this process knows them, seconds old at most."""

    def chain(self, chain_id: int) -> Chain:
        """The chain with its programs; KeyError if there is none."""
        ...
