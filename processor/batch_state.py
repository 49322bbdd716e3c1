"""The members of one batch as its operations leave them, one after another: plain data, no I/O."""

from collections.abc import Sequence

from processor.domain.account import Account, CardHolder
from processor.domain.batch import AccountChange, Due, Loaded, Written
from processor.domain.effects import Counted, count_operation
from processor.domain.maturity import next_due_us
from processor.domain.operation import (
    FOLLOWING_KINDS,
    Follower,
    Operation,
    Original,
    original_from,
    recorded_from,
)
from processor.domain.outcomes import Outcome
from processor.domain.records import record
from processor.domain.state import decode_state


class BatchState:
    """What was loaded for a batch, with what its operations so far have changed."""

    def __init__(self, loaded: Loaded, originals_wanted: Sequence[str], *, has_repeats: bool) -> None:
        """`originals_wanted` are the keys under which operations of this very batch may be asked for.

        `has_repeats` tells that two calls of the batch have the same key.
        """
        self.loaded = loaded
        self._has_repeats = has_repeats
        self._originals_wanted = frozenset(originals_wanted)
        self._changed: dict[int, Account] = {}
        self._counted: set[str] = set()
        self._looked_at: set[int] = set()
        self.operations: list[Operation] = []

    def account(self, member_id: int) -> Account | None:
        """The member's account now; None if there is no such member."""
        return self._changed.get(member_id) or self.loaded.accounts.get(member_id)

    def existing(self, member_id: int) -> Account:
        """The account now of a member that is known to exist."""
        return self._changed.get(member_id) or self.loaded.accounts[member_id]

    def holder(self, card: str) -> CardHolder | None:
        """Whose card it is; None if it is nobody's."""
        return self.loaded.cards.get(card)

    def original(self, member_id: int, key: str) -> Original | None:
        """The member's newest operation under a key."""
        found = [each for each in self.loaded.originals.get(key, ()) if each.member_id == member_id]
        return max(found, key=lambda each: each.occurred_at_us, default=None)

    def append(self, operation: Operation, account: Account, state: bytes) -> None:
        """Take on a finished operation, decided on `account`, which leaves the member in `state`."""
        self.operations.append(operation)
        after = (
            account.member_id,
            operation.balance_points,
            operation.member_sequence,
            operation.entry_hash,
            state,
            account.segments,
            account.status,
        )
        self._changed[account.member_id] = record(Account, after)
        if self._has_repeats:
            self.loaded.recorded.setdefault(operation.idempotency_key, []).append(recorded_from(operation))
        if self._originals_wanted:
            self._note_original(operation)

    def _note_original(self, operation: Operation) -> None:
        originals = self.loaded.originals
        if operation.idempotency_key in self._originals_wanted:
            originals.setdefault(operation.idempotency_key, []).append(original_from(operation))
        if operation.kind in FOLLOWING_KINDS and operation.outcome == Outcome.APPLIED:
            follower = Follower(operation.kind, operation.effects)
            originals[operation.original_key] = [
                each._replace(followers=(*each.followers, follower))
                if each.member_id == operation.member_id
                else each
                for each in originals[operation.original_key]
            ]

    def count(self, subject: str, counted: Counted) -> None:
        """Add an operation to the tally of a terminal or a store."""
        self._counted.add(subject)
        self.loaded.tallies[subject] = count_operation(self.loaded.tallies.get(subject), counted)

    def look_at(self, member_id: int) -> None:
        """The time that was noted for the member has come: the next one must be noted, be it later."""
        self._looked_at.add(member_id)

    def written(self) -> Written:
        """All that has to be saved before any reply may be given."""
        return Written(
            self.operations,
            self._account_changes(),
            self._dues(),
            {subject: self.loaded.tallies[subject] for subject in self._counted},
        )

    def _account_changes(self) -> list[AccountChange]:
        changed, loaded = self._changed, self.loaded.accounts
        return [
            record(AccountChange, (changed[member_id], loaded[member_id].member_sequence))
            for member_id in sorted(changed)
        ]

    def _dues(self) -> list[Due]:
        """Where something is due earlier than anything was before: later times are found from there."""
        members = {member_id for member_id, account in self._changed.items() if account.state}
        members |= self._looked_at
        return [due for member_id in members if (due := self._due(member_id))]

    def _due(self, member_id: int) -> Due | None:
        due_us = _due_us(self.existing(member_id))
        if due_us is None:
            return None
        was_us = None if member_id in self._looked_at else _due_us(self.loaded.accounts[member_id])
        return Due(due_us, member_id) if was_us is None or due_us < was_us else None


def _due_us(account: Account) -> int | None:
    return next_due_us(decode_state(account.state))
