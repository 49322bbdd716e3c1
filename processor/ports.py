"""What the processor asks of the world: storage, the encoding of replies, the directory of chains."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from processor.domain.account import Account
from processor.domain.batch import Loaded, Wanted
from processor.domain.chain import Chain
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome


class Reply(NamedTuple):
    """What a call gets: `body` is the serialised Operation if it is APPLIED, else the serialised status.

    `replayed` tells that the call was answered from the ledger and had no effect of its own.
    """

    outcome: Outcome
    body: bytes
    replayed: bool


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
