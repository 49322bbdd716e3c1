"""What must hold of one member's rows in the ledger, and of the account that they add up to."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from processor.domain.account import Account
from processor.domain.maturity import next_due_us
from processor.domain.operation import Operation, account_after, entry_hash
from processor.domain.outcomes import Outcome
from processor.domain.state import decode_state
from processor.domain.times import format_us

# What of an account the ledger adds up to; the rest is the operator's.
LEDGER_FIELDS: Final = ("balance_points", "member_sequence", "entry_hash", "state")
# What decoding raises for bytes that are not what they should be.
UNDECODABLE: Final = (struct.error, LookupError, TypeError, StopIteration)


class Finding(NamedTuple):
    """Something that is not as it should be."""

    what: str
    expected: object
    found: object


class MemberAudit:
    """Goes through one member's operations in the order of their sequence, then looks at the account.

    Each row is held against the row before it as found, so that a finding is where the fault is. Where rows
    are `missing`, the next one is taken as it is; they are a finding unless `gaps_allowed`. The state is not
    known any more after them: nothing is said of it then.
    """

    def __init__(self, member_id: int, *, gaps_allowed: bool) -> None:
        self.missing = 0
        self._gaps_allowed = gaps_allowed
        self._last = Account(member_id, 0, 0, b"")
        self._is_state_known = True

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
        yield from self._take(row)

    def check_account(self, account: Account) -> Iterator[Finding]:
        """What is wrong with the account, after all operations."""
        if account.member_sequence > self._last.member_sequence:
            yield from self._check_gap(account.member_sequence)
            return
        for name in LEDGER_FIELDS:
            expected, found = getattr(self._last, name), getattr(account, name)
            if expected != found and (name != "state" or self._is_state_known):
                yield Finding(f"{name} of the account", expected, found)

    def _take(self, row: Operation) -> Iterator[Finding]:
        """Go on to the row as it is."""
        try:
            self._last = account_after(self._last, row)
        except UNDECODABLE:
            yield Finding(f"effects of {row.idempotency_key}", "changes of the state", row.effects)
            self._last = account_after(self._last, row._replace(effects=b""))
            self._is_state_known = False

    def _check_gap(self, last_missing: int) -> Iterator[Finding]:
        first_missing = self._last.member_sequence + 1
        self.missing += last_missing - first_missing + 1
        self._is_state_known = False
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


def check_due(state: bytes, noted_us: int | None) -> Iterator[Finding]:
    """What is wrong with the earliest time that is noted for a member: it must not be after the state's."""
    try:
        due_us = next_due_us(decode_state(state))
    except UNDECODABLE:
        yield Finding("state of the account", "a member's state", state)
        return
    if due_us is not None and (noted_us is None or noted_us > due_us):
        noted = "none" if noted_us is None else format_us(noted_us)
        yield Finding("time noted to look at the account", f"{format_us(due_us)} or before", noted)
