"""Where a member stands, as messages of the contract."""

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1 import operation_pb2, transaction_service_pb2
from processor.domain.account import Account
from processor.domain.decision import AppliedRule
from processor.domain.maturity import matured
from processor.domain.program import Program
from processor.domain.standing import standing_in
from processor.domain.state import MemberState, decode_state
from processor.domain.tiers import TierStanding

_NEVER_US: Final = 2**63 - 1


def balance_message(account: Account, program: Program, now_us: int) -> transaction_service_pb2.Balance:
    """The member's points once all that is due at `now_us` has been done."""
    current = matured(account, program, now_us)
    state = decode_state(current.state)
    standing = standing_in(state, current.balance_points, program, now_us)
    return transaction_service_pb2.Balance(
        member_id=current.member_id,
        balance_points=current.balance_points,
        member_sequence=current.member_sequence,
        available_points=standing.available_points,
        held_points=standing.held_points,
        pending_points=standing.pending_points,
        tier=tier_message(standing.tier),
        holds=_holds(state),
        lots=_lots(state, current.balance_points),
        pending_lots=_pending_lots(state),
        segments=segment_names(current.segments),
    )


def tier_message(tier: TierStanding | None) -> operation_pb2.Tier | None:
    """None without tiers."""
    if tier is None:
        return None
    return operation_pb2.Tier(
        name=tier.name, level=tier.level, next_name=tier.next_name, missing=tier.missing
    )


def applied_rule_messages(rules: Iterable[AppliedRule]) -> list[operation_pb2.AppliedRule]:
    """In their order."""
    return [operation_pb2.AppliedRule(rule=rule.rule, points=rule.points, minor=rule.minor) for rule in rules]


def segment_names(segments: str) -> list[str]:
    """Of names between commas."""
    return segments.split(",") if segments else []


def _holds(state: MemberState) -> Iterator[transaction_service_pb2.OpenHold]:
    for hold in state.holds:
        yield transaction_service_pb2.OpenHold(points=hold.points, expires_at=_time(hold.expires_at_us))


def _lots(state: MemberState, balance_points: int) -> Iterator[transaction_service_pb2.Lot]:
    undated = state.undated_expires_at_us, state.undated_points(balance_points)
    for expires_at_us, points in sorted((*state.lots, undated), key=_expiry):
        if points > 0:
            yield transaction_service_pb2.Lot(points=points, expires_at=_time(expires_at_us))


def _expiry(lot: tuple[int, int]) -> int:
    return lot[0] or _NEVER_US


def _pending_lots(state: MemberState) -> Iterator[transaction_service_pb2.PendingLot]:
    for active_at_us, expires_at_us, points in state.pending:
        yield transaction_service_pb2.PendingLot(
            points=points, active_at=_time(active_at_us), expires_at=_time(expires_at_us)
        )


def _time(unix_us: int) -> Timestamp | None:
    """None for 0: no time."""
    seconds, rest_us = divmod(unix_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest_us * 1000) if unix_us else None
