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


RECORDED_BELOW: Final = 64


def is_recorded(outcome: Outcome) -> bool:
    """Whether the ledger keeps this outcome under the call's key."""
    return outcome < RECORDED_BELOW
