"""What must hold of one member's rows in the ledger, and of the account that they add up to."""

from collections.abc import Iterator
from typing import NamedTuple

from processor.domain.account import Account
from processor.domain.operation import Operation, account_after, entry_hash
from processor.domain.outcomes import Outcome


class Finding(NamedTuple):
    """Something that is not as it should be."""

    what: str
    expected: object
    found: object


class MemberAudit:
    """Goes through one member's operations in the order of their sequence, then looks at the account.

    Each row is held against the row before it as found, so that a finding is where the fault is. Where rows
    are `missing`, the next one is taken as it is; they are a finding unless `gaps_allowed`.
    """

    def __init__(self, member_id: int, *, gaps_allowed: bool) -> None:
        self.missing = 0
        self._gaps_allowed = gaps_allowed
        self._last = Account(member_id, 0, 0, b"")

    def check_operation(self, row: Operation) -> Iterator[Finding]:
        """What is wrong with the next operation."""
        next_sequence = self._last.member_sequence + 1
        if row.member_sequence < next_sequence:
            yield Finding(f"member_sequence of {row.idempotency_key}", next_sequence, row.member_sequence)
            return
        if row.member_sequence > next_sequence:
            yield from self._check_gap(row.member_sequence - 1)
        else:
            yield from self._check_link(row)
        self._last = account_after(row)

    def check_account(self, account: Account) -> Iterator[Finding]:
        """What is wrong with the account, after all operations."""
        if account.member_sequence > self._last.member_sequence:
            yield from self._check_gap(account.member_sequence)
            return
        for name, expected, found in zip(Account._fields, self._last, account, strict=True):
            if expected != found:
                yield Finding(f"{name} of the account", expected, found)

    def _check_gap(self, last_missing: int) -> Iterator[Finding]:
        first_missing = self._last.member_sequence + 1
        self.missing += last_missing - first_missing + 1
        if not self._gaps_allowed:
            yield Finding("operations of the ledger", f"{first_missing} to {last_missing}", "none")

    def _check_link(self, row: Operation) -> Iterator[Finding]:
        change = row.earned_points - row.redeemed_points if row.outcome == Outcome.APPLIED else 0
        expected_points = self._last.balance_points + change
        if row.balance_points != expected_points:
            yield Finding(f"balance_points of {row.idempotency_key}", expected_points, row.balance_points)
        expected_hash = entry_hash(self._last.entry_hash, row)
        if row.entry_hash != expected_hash:
            yield Finding(f"entry_hash of {row.idempotency_key}", expected_hash, row.entry_hash)
