"""What time does to a member's points: holds run out, pending points become active, lots expire."""

from typing import NamedTuple

from processor.domain.account import Account
from processor.domain.command import Kind
from processor.domain.effects import Effects, LotChange, apply_effects
from processor.domain.lots import give_back
from processor.domain.program import Program
from processor.domain.state import Hold, Lot, MemberState, PendingLot, decode_state, encode_state
from processor.domain.undated import time_from_us, timed


class Matured(NamedTuple):
    """One entry of the ledger that is due. `expired_points` leave the balance."""

    kind: Kind
    expired_points: int
    effects: Effects


def next_due_us(state: MemberState) -> int | None:
    """When something of a member's state is due next, in microseconds; None if never."""
    lots, pending, holds, undated_expires_at_us, _, _ = state
    if not (pending or holds or undated_expires_at_us):
        return lots[0][0] if lots else None
    times_us = [hold.expires_at_us for hold in holds] if holds else []
    if pending:
        times_us.append(pending[0].active_at_us)
    if lots:
        times_us.append(lots[0][0])
    if undated_expires_at_us:
        times_us.append(undated_expires_at_us)
    return min(times_us) if times_us else None


def is_due(state: MemberState, now_us: int) -> bool:
    """Whether something of a member's state is to be done."""
    due_us = next_due_us(state)
    return due_us is not None and due_us <= now_us


def next_matured(account: Account, program: Program, now_us: int) -> Matured | None:
    """The entry that has been due the longest, as it would have been made in time; None if nothing is due.

    Of one moment's, the ends of holds come first, then activations, then expiries.
    """
    if not account.state:
        return None
    state = decode_state(account.state)
    due_us = next_due_us(state)
    if due_us is None or due_us > now_us:
        return None
    for hold in state.holds:
        if hold.expires_at_us == due_us:
            return Matured(Kind.RELEASE, 0, release(state, account.balance_points, hold, program, due_us))
    pending = [lot for lot in state.pending if lot.active_at_us == due_us]
    if pending:
        return Matured(Kind.ACTIVATE, 0, _activate(state, account.balance_points, pending, program, due_us))
    return _expire(state, account.balance_points, due_us)


def matured(account: Account, program: Program, now_us: int) -> Account:
    """The account with all that is due at `now_us` done; its sequence and hash are not touched."""
    while due := next_matured(account, program, now_us):
        state = apply_effects(decode_state(account.state), due.effects)
        account = account._replace(
            balance_points=account.balance_points - due.expired_points, state=encode_state(state)
        )
    return account


def release(state: MemberState, balance_points: int, hold: Hold, program: Program, now_us: int) -> Effects:
    """Close a hold and put its points back into the lots they came from."""
    back = give_back(state, balance_points, hold.slices)
    effects = Effects(lots=back, closed_holds=(hold.hold_id,))
    return timed(state, effects, balance_points, time_from_us(state, program, now_us))


def _activate(
    state: MemberState, balance_points: int, pending: list[PendingLot], program: Program, now_us: int
) -> Effects:
    """Pending points pay a debt first; the rest becomes lots."""
    gone = tuple([LotChange(lot.active_at_us, lot.expires_at_us, -lot.points) for lot in pending])
    slices = [Lot(lot.expires_at_us, lot.points) for lot in pending]
    without = apply_effects(state, Effects(lots=gone))
    balance_without = balance_points - sum(lot.points for lot in pending)
    added = give_back(without, balance_without, slices)
    has_undated = any(not lot.expires_at_us for lot in pending)
    time_us = time_from_us(state, program, now_us) if has_undated else state.undated_expires_at_us
    return timed(state, Effects(lots=gone + added), balance_points, time_us)


def _expire(state: MemberState, balance_points: int, due_us: int) -> Matured:
    expired = [points for expires_at_us, points in state.lots if expires_at_us == due_us]
    changes = tuple([LotChange(0, due_us, -points) for points in expired])
    points = sum(expired)
    if state.undated_expires_at_us != due_us:
        return Matured(Kind.EXPIRE, points, Effects(lots=changes))
    undated = max(state.undated_points(balance_points), 0)
    if undated and changes:
        changes += (LotChange(0, 0, -undated),)
    return Matured(Kind.EXPIRE, points + undated, Effects(lots=changes, undated_expires_at_us=0))
