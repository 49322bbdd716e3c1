"""The replies that are stored and sent, as bytes of the contract.

An Operation is put together by hand, in two thirds of the time that the generated class takes: it is done for
every call. Fields come in the order of their numbers, so the bytes are those of the generated class.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from processor.domain.command import SALE_KINDS, Kind
from processor.domain.decision import AppliedRule, Decision
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from processor.domain.standing import Standing
from processor.domain.tiers import TierStanding
from processor.rpc.convert.adjustments import REASON_NUMBERS
from processor.rpc.status import status_bytes
from processor.rpc.wire import field, integer_field, tag, text_field, varint

_KEY: Final = tag(1, has_length=True)
_KINDS: Final = {kind: tag(2) + varint(kind) for kind in Kind}
_MEMBER_ID: Final = tag(3)
_MEMBER_SEQUENCE: Final = tag(4)
_OCCURRED_AT: Final = tag(5, has_length=True)
_RECORDED_AT: Final = tag(6, has_length=True)
_EARNED_POINTS: Final = tag(7)
_REDEEMED_POINTS: Final = tag(8)
_REDEEMED_MINOR: Final = tag(9)
_PAYABLE_MINOR: Final = tag(10)
_BALANCE_POINTS: Final = tag(11)
_PROGRAM_VERSION: Final = tag(12)
_STORE_ID: Final = tag(13, has_length=True)
_TERMINAL_ID: Final = tag(14, has_length=True)
_RECEIPT_ID: Final = tag(15, has_length=True)
_DISCOUNT_MINOR: Final = tag(16)
_AVAILABLE_POINTS: Final = tag(17)
_HELD_POINTS: Final = tag(18)
_PENDING_POINTS: Final = tag(19)
_TIER: Final = tag(20, has_length=True)
_APPLIED_RULE: Final = tag(21, has_length=True)
_FLAG: Final = tag(22, has_length=True)
_DIFFERENCE: Final = tag(23, has_length=True)
_SHORTFALL_POINTS: Final = tag(24)
_SHORTFALL_MINOR: Final = tag(25)
_REFUND_MINOR: Final = tag(26)
_ORIGINAL_KEY: Final = tag(27, has_length=True)
_HOLD_EXPIRES_AT: Final = tag(28, has_length=True)
_REASON: Final = tag(29)

# Fields of the messages within.
_1: Final = tag(1)
_2: Final = tag(2)
_3: Final = tag(3)
_4: Final = tag(4)
_1_TEXT: Final = tag(1, has_length=True)
_3_TEXT: Final = tag(3, has_length=True)

_UNDOING: Final = frozenset({Kind.REVERSE, Kind.RETURN})
_NOTHING_MORE: Final = (0, 0, None)
_CACHED: Final = 4_096


class ProtobufEncoder:
    """Implements `processor.ports.Encoder`."""

    def applied(self, operation: Operation, decision: Decision, standing: Standing) -> bytes:
        """Bytes of loyalty.v1.Operation."""
        kind = operation.kind
        return b"".join(
            (
                text_field(_KEY, operation.idempotency_key),
                _KINDS[kind],
                _MEMBER_ID + varint(operation.member_id),
                _MEMBER_SEQUENCE + varint(operation.member_sequence),
                _OCCURRED_AT + _moment(operation.occurred_at_us),
                _RECORDED_AT + _moment_of_batch(operation.recorded_at_us),
                integer_field(_EARNED_POINTS, operation.earned_points),
                _redeemed(operation) if operation.redeemed_points or operation.redeemed_minor else b"",
                integer_field(_PAYABLE_MINOR, operation.payable_minor) if kind in SALE_KINDS else b"",
                integer_field(_BALANCE_POINTS, operation.balance_points),
                _program_and_place(operation.program_version, operation.store_id, operation.terminal_id),
                text_field(_RECEIPT_ID, operation.receipt_id),
                integer_field(_DISCOUNT_MINOR, operation.discount_minor) if operation.discount_minor else b"",
                integer_field(_AVAILABLE_POINTS, standing.available_points),
                _standing(standing) if standing[1:] != _NOTHING_MORE else b"",
                _told(decision),
                b"" if kind in SALE_KINDS else _beside_sales(operation, decision),
            )
        )

    def refused(self, outcome: Outcome, details: Mapping[str, object]) -> bytes:
        """Bytes of google.rpc.Status."""
        return status_bytes(outcome, details)


def _moment(unix_us: int) -> bytes:
    """A google.protobuf.Timestamp, with its length before it."""
    seconds, rest_us = divmod(unix_us, 1_000_000)
    content = _seconds(seconds) + _2 + varint(rest_us * 1000) if rest_us else _seconds(seconds)
    return varint(len(content)) + content


@lru_cache(_CACHED)
def _seconds(seconds: int) -> bytes:
    return integer_field(_1, seconds)


_moment_of_batch: Final = lru_cache(_CACHED)(_moment)


@lru_cache(_CACHED)
def _program_and_place(program_version: int, store_id: str, terminal_id: str) -> bytes:
    program = integer_field(_PROGRAM_VERSION, program_version)
    return program + text_field(_STORE_ID, store_id) + text_field(_TERMINAL_ID, terminal_id)


def _redeemed(operation: Operation) -> bytes:
    points = integer_field(_REDEEMED_POINTS, operation.redeemed_points)
    return points + integer_field(_REDEEMED_MINOR, operation.redeemed_minor)


def _standing(standing: Standing) -> bytes:
    _, held_points, pending_points, tier = standing
    told = _tier(tier) if tier else b""
    if held_points or pending_points:
        held = integer_field(_HELD_POINTS, held_points)
        told = held + integer_field(_PENDING_POINTS, pending_points) + told
    return told


def _told(decision: Decision) -> bytes:
    """How it was decided."""
    rules = b"".join(map(_applied_rule, decision.applied_rules))
    if decision.flags or decision.differences or decision.shortfall_points:
        return rules + _rarely_told(decision)
    return rules


def _rarely_told(decision: Decision) -> bytes:
    return b"".join(
        (
            *[field(_FLAG, flag.encode()) for flag in decision.flags],
            *[field(_DIFFERENCE, difference.encode()) for difference in decision.differences],
            integer_field(_SHORTFALL_POINTS, decision.shortfall_points),
            integer_field(_SHORTFALL_MINOR, decision.shortfall_minor),
        )
    )


def _beside_sales(operation: Operation, decision: Decision) -> bytes:
    hold_expires_at_us = decision.hold_expires_at_us
    refund_minor = operation.payable_minor - decision.shortfall_minor if operation.kind in _UNDOING else 0
    return b"".join(
        (
            integer_field(_REFUND_MINOR, refund_minor),
            text_field(_ORIGINAL_KEY, operation.original_key),
            _HOLD_EXPIRES_AT + _moment(hold_expires_at_us) if hold_expires_at_us else b"",
            integer_field(_REASON, REASON_NUMBERS.get(operation.reason, 0)),
        )
    )


def _tier(tier: TierStanding) -> bytes:
    name, level, next_name, missing = tier
    return field(_TIER, _tier_names(name, level, next_name) + integer_field(_4, missing))


@lru_cache(_CACHED)
def _tier_names(name: str, level: int, next_name: str) -> bytes:
    return text_field(_1_TEXT, name) + integer_field(_2, level) + text_field(_3_TEXT, next_name)


def _applied_rule(rule: AppliedRule) -> bytes:
    name, points, minor = rule
    content = _rule_name(name)
    if points:
        content += integer_field(_2, points)
    if minor:
        content += integer_field(_3, minor)
    return field(_APPLIED_RULE, content)


@lru_cache(_CACHED)
def _rule_name(name: str) -> bytes:
    return text_field(_1_TEXT, name)
