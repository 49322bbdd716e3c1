"""What can become of a call: a closed set."""

from enum import IntEnum
from typing import Final


class Outcome(IntEnum):
    """The name is the reason that a till reads; the number is what the ledger stores.

    Numbers below 64 are recorded under the call's idempotency key and replayed for ever; the others leave
    no trace and the key free. Numbers are never reused.
    """

    APPLIED = 0
    INSUFFICIENT_POINTS = 1
    REDEMPTION_BELOW_MINIMUM = 2
    REDEMPTION_ABOVE_LIMIT = 3
    BALANCE_OUT_OF_RANGE = 4
    REWARD_NOT_AVAILABLE = 5
    LIMIT_EXCEEDED = 6
    QUOTE_OUTDATED = 7
    # Not decided any more, but ledgers have it, and its repeats are answered.
    OFFLINE_LIMIT_EXCEEDED = 8
    HOLD_CAPTURED = 9
    HOLD_VOID = 10
    HOLD_EXPIRED = 11
    CAPTURE_ABOVE_HOLD = 12
    TOO_MANY_HOLDS = 13
    NOT_REVERSIBLE = 14
    ALREADY_REVERSED = 15
    RETURN_ABOVE_ORIGINAL = 16

    INVALID_REQUEST = 64
    MALFORMED_REQUEST = 65
    OCCURRED_AT_OUT_OF_WINDOW = 66
    API_KEY_MISSING = 67
    API_KEY_INVALID = 68
    MEMBER_NOT_FOUND = 69
    OPERATION_NOT_FOUND = 70
    IDEMPOTENCY_KEY_REUSED = 71
    QUEUE_FULL = 72
    DEADLINE_PASSED = 73
    STORAGE_UNAVAILABLE = 74
    OUTCOME_UNKNOWN = 75
    SHUTTING_DOWN = 76
    INTERNAL_ERROR = 77
    ORIGINAL_NOT_FOUND = 78
    MEMBER_CLOSED = 79
    CARD_BLOCKED = 80
    CARD_REPLACED = 81
    CALLER_NOT_ALLOWED = 82
    CARD_TAKEN = 83


RECORDED_BELOW: Final = 64


def is_recorded(outcome: Outcome) -> bool:
    """Whether the ledger keeps this outcome under the call's key."""
    return outcome < RECORDED_BELOW
