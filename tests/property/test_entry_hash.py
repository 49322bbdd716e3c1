"""Every column of a ledger row, and the row before it, go into the row's hash."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processor.domain.account import Account
from processor.domain.command import Command, Kind
from processor.domain.decide import decide
from processor.domain.fingerprint import fingerprint
from processor.domain.operation import (
    ENTRY_HASH_BYTES,
    Operation,
    account_after,
    draft_operation,
    entry_hash,
    seal,
)
from processor.domain.outcomes import Outcome
from processor.domain.program import Program
from tests.property.strategies import accounts, commands, identifiers, optional_identifiers, programs

OTHER_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "chain_id": st.integers(1, 2**31 - 1),
    "kind": st.sampled_from(Kind),
    "outcome": st.sampled_from(Outcome),
    "program_version": st.integers(1, 2**31 - 1),
    "fingerprint": st.binary(max_size=60),
    "response": st.binary(max_size=300),
    "idempotency_key": identifiers,
    "store_id": identifiers,
    "terminal_id": optional_identifiers,
    "receipt_id": identifiers,
    "original_key": optional_identifiers,
    "reason": optional_identifiers,
    "receipt_lines": optional_identifiers,
    "effects": st.binary(max_size=200),
}
numbers = st.integers(0, 2**62)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    return recorded(draw(accounts), draw(commands()), draw(programs()), draw(st.binary(max_size=200)))


def recorded(account: Account, command: Command, program: Program, response: bytes) -> Operation:
    draft = draft_operation(
        command,
        account,
        decide(account, command, program),
        chain_id=7,
        payload_fingerprint=fingerprint(command),
        program_version=program.version,
        recorded_at_us=command.occurred_at_us + 1,
    )
    return seal(draft, response, account.entry_hash)


@given(st.data(), operations(), st.sampled_from([f for f in Operation._fields if f != "entry_hash"]))
def test_another_value_in_any_column_gives_another_hash(
    data: st.DataObject, operation: Operation, column: str
) -> None:
    value = data.draw(OTHER_VALUES.get(column, numbers).filter(lambda v: v != getattr(operation, column)))
    tampered = operation._replace(**{column: value})
    assert entry_hash(b"before", tampered) != entry_hash(b"before", operation)


@given(operations(), st.binary(max_size=32), st.binary(max_size=32))
def test_another_predecessor_gives_another_hash(operation: Operation, first: bytes, second: bytes) -> None:
    assert (entry_hash(first, operation) == entry_hash(second, operation)) == (first == second)


@given(operations(), st.sampled_from([("idempotency_key", "store_id"), ("store_id", "terminal_id")]))
def test_a_letter_that_moves_to_the_next_column_gives_another_hash(
    operation: Operation, columns: tuple[str, str]
) -> None:
    left, right = (getattr(operation, column) for column in columns)
    moved = operation._replace(**dict(zip(columns, (left[:-1], left[-1] + right), strict=True)))
    assert entry_hash(b"", moved) != entry_hash(b"", operation)


@given(accounts, commands(), programs(), st.binary(max_size=200))
def test_a_row_is_chained_to_the_account_that_it_leaves(
    account: Account, command: Command, program: Program, response: bytes
) -> None:
    operation = recorded(account, command, program, response)
    after = account_after(account, operation)
    assert operation.entry_hash == entry_hash(account.entry_hash, operation)
    assert len(operation.entry_hash) == ENTRY_HASH_BYTES
    assert after == account._replace(
        balance_points=account.balance_points + operation.earned_points - operation.redeemed_points,
        member_sequence=account.member_sequence + 1,
        entry_hash=operation.entry_hash,
    )
