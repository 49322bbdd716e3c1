"""A row of the ledger, and the hash that chains it to the member's row before."""

import struct
from hashlib import blake2b
from typing import Final, NamedTuple

from processor.domain.account import Account
from processor.domain.command import Command, Kind, lines_text
from processor.domain.decision import Decision
from processor.domain.effects import NO_EFFECTS, Effects, apply_effects
from processor.domain.effects_bytes import decode_effects, encode_effects
from processor.domain.outcomes import Outcome
from processor.domain.records import record
from processor.domain.state import decode_state, encode_state

ENTRY_HASH_BYTES: Final = 32
# What takes an operation further, or undoes it.
FOLLOWING_KINDS: Final = (Kind.CAPTURE, Kind.VOID, Kind.REVERSE, Kind.RETURN)


class Operation(NamedTuple):
    """One recorded call, in the order of the ledger's columns; times in microseconds since the Unix epoch.

    `kind` is a `Kind` and `outcome` an `Outcome`, or their numbers, as PostgreSQL has them.
    """

    chain_id: int
    idempotency_key: str
    occurred_at_us: int
    recorded_at_us: int
    member_id: int
    member_sequence: int
    kind: int
    outcome: int
    earned_points: int
    redeemed_points: int
    balance_points: int
    total_minor: int
    redeemed_minor: int
    program_version: int
    store_id: str
    terminal_id: str
    receipt_id: str
    discount_minor: int
    original_key: str
    reason: str
    receipt_lines: str
    effects: bytes
    fingerprint: bytes
    response: bytes
    entry_hash: bytes

    @property
    def payable_minor(self) -> int:
        """What is left to pay with money."""
        return self.total_minor - self.discount_minor - self.redeemed_minor


class Follower(NamedTuple):
    """An applied operation that took an earlier one further: a capture, a void, a reversal, a return."""

    kind: int
    effects: bytes


class Original(NamedTuple):
    """An earlier operation that is to be undone or taken further, and what has been done to it so far."""

    idempotency_key: str
    member_id: int
    kind: int
    outcome: int
    occurred_at_us: int
    recorded_at_us: int
    earned_points: int
    redeemed_points: int
    total_minor: int
    redeemed_minor: int
    discount_minor: int
    receipt_lines: str
    effects: bytes
    followers: tuple[Follower, ...] = ()


def original_from(operation: Operation) -> Original:
    """What an operation of the same batch needs of one before it."""
    return Original(
        operation.idempotency_key,
        operation.member_id,
        operation.kind,
        operation.outcome,
        operation.occurred_at_us,
        operation.recorded_at_us,
        operation.earned_points,
        operation.redeemed_points,
        operation.total_minor,
        operation.redeemed_minor,
        operation.discount_minor,
        operation.receipt_lines,
        operation.effects,
    )


class Recorded(NamedTuple):
    """One operation that the ledger has under an idempotency key."""

    outcome: Outcome
    fingerprint: bytes
    response: bytes
    entry_hash: bytes
    occurred_at_us: int


def recorded_from(operation: Operation) -> Recorded:
    """What a repeat of the call needs of its row."""
    return Recorded(
        Outcome(operation.outcome),
        operation.fingerprint,
        operation.response,
        operation.entry_hash,
        operation.occurred_at_us,
    )


def draft_operation(
    command: Command,
    account: Account,
    decision: Decision,
    *,
    chain_id: int,
    payload_fingerprint: bytes,
    program_version: int,
    recorded_at_us: int,
    receipt_lines: str | None = None,
) -> Operation:
    """The row of a command decided on `account`, with `response` and `entry_hash` still empty.

    `receipt_lines` is the `lines_text` of the receipt, if it is at hand.
    """
    balance_points = account.balance_points + decision.earned_points - decision.redeemed_points
    receipt = command.receipt
    values = (
        chain_id,
        command.idempotency_key,
        command.occurred_at_us,
        recorded_at_us,
        account.member_id,
        account.member_sequence + 1,
        command.kind,
        decision.outcome,
        decision.earned_points,
        decision.redeemed_points,
        balance_points,
        receipt.total_minor if decision.total_minor is None else decision.total_minor,
        decision.redeemed_minor,
        program_version,
        command.store_id,
        command.terminal_id,
        receipt.receipt_id,
        decision.discount_minor,
        command.original_key,
        command.reason,
        lines_text(receipt.lines) if receipt_lines is None else receipt_lines,
        encode_effects(decision.effects),
        payload_fingerprint,
        b"",
        b"",
    )
    return record(Operation, values)


def seal(draft: Operation, response: bytes, previous_hash: bytes) -> Operation:
    """The finished row: the draft with its response, chained to the member's row before."""
    entry_hash = _hash(previous_hash, draft, response)
    return record(Operation, draft[:_RESPONSE] + (response, entry_hash))  # noqa: RUF005 - compiled, it is quicker


def account_after(account: Account, operation: Operation) -> Account:
    """The member's account once `operation` is recorded: all of it follows from the row."""
    effects = decode_effects(operation.effects) if operation.effects else NO_EFFECTS
    return Account(
        operation.member_id,
        operation.balance_points,
        operation.member_sequence,
        operation.entry_hash,
        state_after(account.state, effects),
        account.segments,
        account.status,
    )


def state_after(state: bytes, effects: Effects) -> bytes:
    """A serialised state with the effects of one more operation."""
    if effects is NO_EFFECTS or effects == NO_EFFECTS:
        return state
    return encode_state(apply_effects(decode_state(state), effects))


_NUMBERS: Final = struct.Struct("<iqqqqhhqqqqqiII")
_REST_NUMBERS: Final = struct.Struct("<qI")
_RESPONSE: Final = Operation._fields.index("response")


def entry_hash(previous_hash: bytes, operation: Operation) -> bytes:
    """What the last column of a row must be, after the row before."""
    return _hash(previous_hash, operation, operation.response)


def _hash(previous_hash: bytes, operation: Operation, response: bytes) -> bytes:
    """BLAKE2b-256 over the hash of the member's row before and every other column of this one.

    The numbers are packed little-endian in column order, then come the lengths of fingerprint and response,
    both of these, and the texts in column order, each ended by a zero byte (identifiers are printable). If
    any of the columns from `discount_minor` to `effects` holds something, these follow: the discount in 8
    bytes, the length of the effects in 4, the effects, and the texts.
    """
    payload_fingerprint = operation.fingerprint
    numbers = _NUMBERS.pack(
        operation.chain_id,
        operation.occurred_at_us,
        operation.recorded_at_us,
        operation.member_id,
        operation.member_sequence,
        operation.kind,
        operation.outcome,
        operation.earned_points,
        operation.redeemed_points,
        operation.balance_points,
        operation.total_minor,
        operation.redeemed_minor,
        operation.program_version,
        len(payload_fingerprint),
        len(response),
    )
    key, receipt_id = operation.idempotency_key, operation.receipt_id
    texts = f"{key}\0{operation.store_id}\0{operation.terminal_id}\0{receipt_id}\0".encode()
    content = (previous_hash, numbers, payload_fingerprint, response, texts, _rest(operation))
    return blake2b(b"".join(content), digest_size=ENTRY_HASH_BYTES).digest()


def _rest(operation: Operation) -> bytes:
    discount_minor, original_key, reason = operation.discount_minor, operation.original_key, operation.reason
    receipt_lines, effects = operation.receipt_lines, operation.effects
    if not (discount_minor or original_key or reason or receipt_lines or effects):
        return b""
    texts = f"{original_key}\0{reason}\0{receipt_lines}\0"
    return _REST_NUMBERS.pack(discount_minor, len(effects)) + effects + texts.encode()
