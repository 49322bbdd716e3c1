"""Operations put together by hand are, byte for byte, what the generated class makes of them."""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from loyalty.v1 import operation_pb2
from processor.domain.command import SALE_KINDS, Kind
from processor.domain.decision import AppliedRule, Decision
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from processor.domain.standing import Standing
from processor.domain.tiers import TierStanding
from processor.rpc.convert.adjustments import REASONS
from processor.rpc.encoder import ProtobufEncoder
from tests.property.strategies import times_us

INT64_MAX: Final = 2**63 - 1
NO_SALES: Final = [kind for kind in Kind if kind not in SALE_KINDS]

# Where varints grow by a byte.
BOUNDS: Final = sorted(
    {1 << 7 * groups for groups in range(9)} | {(1 << 7 * groups) - 1 for groups in range(10)}
)
amounts: Final = st.sampled_from(BOUNDS) | st.integers(0, INT64_MAX)
money: Final = st.sampled_from(BOUNDS[:-2]) | st.integers(0, 2**56)
signed: Final = amounts | amounts.map(lambda amount: -amount)
names: Final = st.sampled_from(["k", "магазин-7-чек-9", "x" * 64, "к" * 64, "\N{GRINNING FACE}" * 64])
optional_names: Final = st.just("") | names
texts: Final = st.lists(names, max_size=3).map(tuple)
tiers: Final = st.none() | st.builds(
    TierStanding, optional_names, st.integers(0, 20), optional_names, amounts
)
standings: Final = st.builds(Standing, signed, amounts, amounts, tiers)
rules: Final = st.builds(AppliedRule, names, signed, amounts)
decisions: Final = st.builds(
    Decision(Outcome.APPLIED)._replace,
    shortfall_points=amounts,
    shortfall_minor=money,
    applied_rules=st.lists(rules, max_size=3).map(tuple),
    flags=texts,
    differences=texts,
)
operations: Final = st.builds(
    Operation,
    chain_id=st.just(1),
    idempotency_key=names,
    occurred_at_us=times_us,
    recorded_at_us=times_us,
    member_id=st.integers(1, INT64_MAX),
    member_sequence=st.integers(1, INT64_MAX),
    kind=st.sampled_from(sorted(SALE_KINDS)),
    outcome=st.just(Outcome.APPLIED),
    earned_points=amounts,
    redeemed_points=amounts,
    balance_points=signed,
    total_minor=money,
    redeemed_minor=money,
    program_version=st.integers(1, 2**31 - 1),
    store_id=optional_names,
    terminal_id=optional_names,
    receipt_id=optional_names,
    discount_minor=money,
    original_key=st.just(""),
    reason=st.just(""),
    receipt_lines=st.just(""),
    effects=st.just(b""),
    fingerprint=st.just(b""),
    response=st.just(b""),
    entry_hash=st.just(b""),
)


@given(operations, decisions, standings)
def test_a_sale_has_the_bytes_of_the_generated_class(
    operation: Operation, decision: Decision, standing: Standing
) -> None:
    _assert_same_bytes(operation, decision, standing)


@given(operations, standings)
def test_a_plain_sale_has_them_too(operation: Operation, standing: Standing) -> None:
    plain = operation._replace(discount_minor=0)
    _assert_same_bytes(plain, Decision(Outcome.APPLIED), Standing(standing.available_points))


@given(
    operations,
    decisions,
    standings,
    st.sampled_from(NO_SALES),
    optional_names,
    st.sampled_from(["", *REASONS.values()]),
    money,
    st.just(0) | times_us,
)
def test_what_is_no_sale_has_them_too(
    operation: Operation,
    decision: Decision,
    standing: Standing,
    kind: Kind,
    original_key: str,
    reason: str,
    shortfall_minor: int,
    hold_expires_at_us: int,
) -> None:
    operation = operation._replace(kind=kind, original_key=original_key, reason=reason)
    decision = decision._replace(
        shortfall_points=1, shortfall_minor=shortfall_minor, hold_expires_at_us=hold_expires_at_us
    )
    _assert_same_bytes(operation, decision, standing)


def _assert_same_bytes(operation: Operation, decision: Decision, standing: Standing) -> None:
    encoded = ProtobufEncoder().applied(operation, decision, standing)
    assert encoded == _message(operation, decision, standing).SerializeToString()


def _message(operation: Operation, decision: Decision, standing: Standing) -> operation_pb2.Operation:
    is_undoing = operation.kind in (Kind.REVERSE, Kind.RETURN)
    return operation_pb2.Operation(
        idempotency_key=operation.idempotency_key,
        kind=operation_pb2.OperationKind.ValueType(operation.kind),
        member_id=operation.member_id,
        member_sequence=operation.member_sequence,
        occurred_at=_time(operation.occurred_at_us),
        recorded_at=_time(operation.recorded_at_us),
        earned_points=operation.earned_points,
        redeemed_points=operation.redeemed_points,
        redeemed_minor=operation.redeemed_minor,
        payable_minor=operation.payable_minor if operation.kind in SALE_KINDS else 0,
        balance_points=operation.balance_points,
        program_version=operation.program_version,
        store_id=operation.store_id,
        terminal_id=operation.terminal_id,
        receipt_id=operation.receipt_id,
        discount_minor=operation.discount_minor,
        available_points=standing.available_points,
        held_points=standing.held_points,
        pending_points=standing.pending_points,
        tier=operation_pb2.Tier(**standing.tier._asdict()) if standing.tier else None,
        applied_rules=[operation_pb2.AppliedRule(**rule._asdict()) for rule in decision.applied_rules],
        flags=decision.flags,
        offline_differences=decision.differences,
        shortfall_points=decision.shortfall_points,
        shortfall_minor=decision.shortfall_minor,
        refund_minor=operation.payable_minor - decision.shortfall_minor if is_undoing else 0,
        original_idempotency_key=operation.original_key,
        hold_expires_at=_time(decision.hold_expires_at_us) if decision.hold_expires_at_us else None,
        reason=operation_pb2.AdjustmentReason.Value(f"ADJUSTMENT_REASON_{operation.reason or 'UNSPECIFIED'}"),
    )


def _time(unix_us: int) -> Timestamp:
    time = Timestamp()
    time.FromMicroseconds(unix_us)
    return time
