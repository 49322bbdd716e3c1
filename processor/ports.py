"""What the processor asks of the world: storage, the encoding of replies, the directory of chains."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from processor.domain.account import Account
from processor.domain.batch import Loaded, Wanted, Written
from processor.domain.chain import Chain
from processor.domain.operation import Operation, Recorded
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
        """Lock the tallies, read the accounts (locked if the transaction is `locking`), look the keys up."""
        ...

    async def enrol(self, cards: Sequence[str]) -> dict[str, Account]:
        """Make a member for each of the cards; a card that is somebody's by now is a BatchConflict."""
        ...

    async def save(self, written: Written) -> None:
        """Update the accounts, append the operations, note the times and update the tallies that were read.

        Raises BatchConflict if an account has changed since it was read.
        """
        ...

    async def confirm(self) -> None:
        """Have the commit of a transaction that saves nothing make sure that what it read can't be lost."""
        ...


class LedgerStore(Protocol):
    """The ledger's storage."""

    def transaction(
        self, chain_id: int, occurred_at_us: Sequence[int], *, locking: bool
    ) -> AbstractAsyncContextManager[LedgerTransaction]:
        """Open a transaction that may append operations of these times; commits at the end, durably.

        An error inside rolls back. Raises StorageUnavailable, BatchConflict, OutcomeUnknown or RowRejected.
        """
        ...


class LedgerReader(Protocol):
    """Reads beside the hot path. Of `member_id` (else 0) and `card` (else "") one is given.

    Each raises StorageUnavailable if PostgreSQL can't be reached.
    """

    async def resolve(self, chain_id: int, member_id: int, card: str) -> int | None:
        """The member_id, if there is such a member."""
        ...

    async def account(self, chain_id: int, member_id: int, card: str) -> Account | None:
        """The member's account."""
        ...

    async def recorded(self, chain_id: int, idempotency_key: str) -> Recorded | None:
        """What the ledger has under a key; the newest, if several partitions have it."""
        ...

    async def operations(
        self, chain_id: int, member_id: int, before_sequence: int, limit: int
    ) -> list[tuple[int, str, Recorded]]:
        """(sequence, idempotency_key, recorded) of the member before a sequence number, newest first."""
        ...


class CardReader(Protocol):
    """Looks cards up beside the hot path; failures are those of `processor.domain.failures`."""

    async def members_by_card(self, chain_id: int, cards: Sequence[str]) -> dict[str, int]:
        """The members of those cards that there are."""
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
