"""The replies that are stored and sent, as bytes of the contract.

An Operation is written by hand, as it is done for every call and the generated class takes longer. Fields
come in the order of their numbers, so the bytes are those of the generated class.
"""

from collections.abc import Mapping
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from processor.domain.command import SALE_KINDS, Kind
from processor.domain.decision import AppliedRule, Decision
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from processor.domain.standing import Standing
from processor.domain.tiers import TierStanding
from processor.rpc.convert.adjustments import REASON_NUMBERS
from processor.rpc.status import status_bytes
from processor.rpc.wire import tag, write_bytes, write_integer, write_text

_KEY: Final = tag(1, has_length=True)
_KIND: Final = tag(2)
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


class ProtobufEncoder:
    """Implements `processor.ports.Encoder`."""

    def applied(self, operation: Operation, decision: Decision, standing: Standing) -> bytes:
        """Bytes of loyalty.v1.Operation."""
        is_sale = operation.kind in SALE_KINDS
        writer = BytesWriter()
        write_text(writer, _KEY, operation.idempotency_key)
        write_integer(writer, _KIND, operation.kind)
        write_integer(writer, _MEMBER_ID, operation.member_id)
        write_integer(writer, _MEMBER_SEQUENCE, operation.member_sequence)
        _write_moment(writer, _OCCURRED_AT, operation.occurred_at_us)
        _write_moment(writer, _RECORDED_AT, operation.recorded_at_us)
        write_integer(writer, _EARNED_POINTS, operation.earned_points)
        write_integer(writer, _REDEEMED_POINTS, operation.redeemed_points)
        write_integer(writer, _REDEEMED_MINOR, operation.redeemed_minor)
        write_integer(writer, _PAYABLE_MINOR, operation.payable_minor if is_sale else 0)
        write_integer(writer, _BALANCE_POINTS, operation.balance_points)
        write_integer(writer, _PROGRAM_VERSION, operation.program_version)
        write_text(writer, _STORE_ID, operation.store_id)
        write_text(writer, _TERMINAL_ID, operation.terminal_id)
        write_text(writer, _RECEIPT_ID, operation.receipt_id)
        write_integer(writer, _DISCOUNT_MINOR, operation.discount_minor)
        _write_standing(writer, standing)
        _write_decision(writer, decision)
        if not is_sale:
            _write_beside_sales(writer, operation, decision)
        return writer.getvalue()

    def refused(self, outcome: Outcome, details: Mapping[str, object]) -> bytes:
        """Bytes of google.rpc.Status."""
        return status_bytes(outcome, details)


def _write_moment(writer: BytesWriter, field_tag: i64, unix_us: i64) -> None:
    """A google.protobuf.Timestamp."""
    moment = BytesWriter()
    write_integer(moment, _1, unix_us // 1_000_000)
    write_integer(moment, _2, unix_us % 1_000_000 * 1_000)
    write_bytes(writer, field_tag, moment.getvalue())


def _write_standing(writer: BytesWriter, standing: Standing) -> None:
    write_integer(writer, _AVAILABLE_POINTS, standing.available_points)
    write_integer(writer, _HELD_POINTS, standing.held_points)
    write_integer(writer, _PENDING_POINTS, standing.pending_points)
    if standing.tier:
        write_bytes(writer, _TIER, _tier(standing.tier))


def _tier(standing: TierStanding) -> bytes:
    name, level, next_name, missing = standing
    writer = BytesWriter()
    write_text(writer, _1_TEXT, name)
    write_integer(writer, _2, level)
    write_text(writer, _3_TEXT, next_name)
    write_integer(writer, _4, missing)
    return writer.getvalue()


def _write_decision(writer: BytesWriter, decision: Decision) -> None:
    """How it was decided."""
    for rule in decision.applied_rules:
        write_bytes(writer, _APPLIED_RULE, _applied_rule(rule))
    for flag in decision.flags:
        write_bytes(writer, _FLAG, flag.encode())
    for difference in decision.differences:
        write_bytes(writer, _DIFFERENCE, difference.encode())
    write_integer(writer, _SHORTFALL_POINTS, decision.shortfall_points)
    write_integer(writer, _SHORTFALL_MINOR, decision.shortfall_minor)


def _applied_rule(rule: AppliedRule) -> bytes:
    name, points, minor = rule
    writer = BytesWriter()
    write_text(writer, _1_TEXT, name)
    write_integer(writer, _2, points)
    write_integer(writer, _3, minor)
    return writer.getvalue()


def _write_beside_sales(writer: BytesWriter, operation: Operation, decision: Decision) -> None:
    if operation.kind in _UNDOING:
        write_integer(writer, _REFUND_MINOR, operation.payable_minor - decision.shortfall_minor)
    write_text(writer, _ORIGINAL_KEY, operation.original_key)
    if decision.hold_expires_at_us:
        _write_moment(writer, _HOLD_EXPIRES_AT, decision.hold_expires_at_us)
    write_integer(writer, _REASON, REASON_NUMBERS.get(operation.reason, 0))
