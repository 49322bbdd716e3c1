"""What the processor asks of the world: storage, the encoding of replies, the directory of chains."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from processor.domain.account import Account, CardHolder, CardStatus
from processor.domain.batch import Loaded, Wanted, Written
from processor.domain.chain import Chain
from processor.domain.decision import Decision
from processor.domain.home import Home
from processor.domain.member import Holder, Member
from processor.domain.operation import Operation, Recorded
from processor.domain.outcomes import Outcome
from processor.domain.standing import Standing
from processor.domain.state import Tally


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


class SharedTransaction(Protocol):
    """One open transaction of several chains, all at home, which takes no tallies and enrols nobody.

    Everything is by chain_id; failures are those of `processor.domain.failures`.
    """

    async def load(self, wanted: Mapping[int, Wanted]) -> dict[int, Loaded]:
        """As `LedgerTransaction.load`, for each chain."""
        ...

    async def save(self, written: Mapping[int, Written]) -> None:
        """As `LedgerTransaction.save`, for each chain."""
        ...

    async def confirm(self) -> None:
        """As `LedgerTransaction.confirm`."""
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

    async def home(self) -> Home:
        """Where operations of the present go. Raises StorageUnavailable."""
        ...

    def shared_transaction(
        self, chain_ids: Sequence[int], home: Home, *, locking: bool
    ) -> AbstractAsyncContextManager[SharedTransaction]:
        """As `transaction`, for several chains, all of whose operations go to `home`.

        Raises HomeMoved if a chain's operations go elsewhere by now.
        """
        ...


class LedgerReader(Protocol):
    """Reads beside the hot path. Of `member_id` (else 0) and `card` (else "") one is given.

    Each raises StorageUnavailable if PostgreSQL can't be reached.
    """

    async def resolve(self, chain_id: int, member_id: int, card: str) -> int | None:
        """The member_id, if there is such a member."""
        ...

    async def holder(self, chain_id: int, member_id: int, card: str) -> Holder | None:
        """The member's account, as the ledger has left it."""
        ...

    async def tallies(self, chain_id: int, subjects: Sequence[str]) -> dict[str, Tally]:
        """What terminals and stores have done, as far as anything is known of them."""
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


class MemberStore(Protocol):
    """Members and their cards. Each method raises StorageUnavailable if PostgreSQL can't be reached."""

    async def member(self, chain_id: int, member_id: int, card: str) -> Member | None:
        """The member with this number, or else with this card."""
        ...

    async def enrol(self, chain_id: int, card: str) -> CardHolder:
        """Make a member with a card, unless it is somebody's; whose it is then."""
        ...

    async def add_card(self, chain_id: int, member_id: int, card: str) -> CardHolder:
        """Give a card to a member that there is, unless it is somebody's; whose it is then."""
        ...

    async def replace_card(
        self, chain_id: int, old: str, new: str
    ) -> tuple[CardHolder | None, CardHolder | None]:
        """Replace a card by one that is free or the member's own, unless it was replaced before.

        Whose both are then, None for a card of nobody's.
        """
        ...

    async def set_card_status(self, chain_id: int, card: str, status: CardStatus) -> CardHolder | None:
        """Change the status of a card that is not replaced; how it is then, None for a card of nobody's."""
        ...


class Encoder(Protocol):
    """Turns decisions into the bytes that a till gets."""

    def applied(self, operation: Operation, decision: Decision, standing: Standing) -> bytes:
        """The reply to an applied operation, with where it leaves the member."""
        ...

    def refused(self, outcome: Outcome, details: Mapping[str, object]) -> bytes:
        """The status of a call that was not applied, with `details` as its metadata."""
        ...


class Directory(Protocol):
    """The chains as this process knows them, seconds old at most."""

    def chain(self, chain_id: int) -> Chain:
        """The chain with its programs; KeyError if there is none."""
        ...
