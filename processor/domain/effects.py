"""What an operation does to a member's state, as the ledger keeps it: the state is the sum of these."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from processor.domain.state import (
    Hold,
    MemberState,
    Month,
    PendingLot,
    Qualification,
    Tally,
)


class LotChange(NamedTuple):
    """Points added to a lot (taken, if negative). `active_at_us` is 0 for one that is active.

    Both times are 0 for undated points, which are kept in no lot.
    """

    active_at_us: int
    expires_at_us: int
    points: int


class Qualified(NamedTuple):
    """What counts towards the tier, in a month; months before `keep_from_month` are forgotten."""

    month: int
    points: int
    minor: int
    keep_from_month: int


class TierBase(NamedTuple):
    """The level that holds from the beginning of a period on, which is that of a month."""

    level: int
    month: int


class Counted(NamedTuple):
    """An operation for the tally of a subject (0: the member) in an hour and a day."""

    subject: int
    hour: int
    day: int
    earned_points: int
    redeemed_points: int


class LineShare(NamedTuple):
    """A line's part of what a receipt earned and of what paid for it."""

    earned_points: int
    redeemed_points: int
    redeemed_minor: int
    discount_minor: int


class ReturnedPart(NamedTuple):
    """What an undoing has brought back of a line of the original."""

    line_number: int
    quantity_milli: int


class Effects(NamedTuple):
    """The changes, in the order in which they are made; then what later undoings need to know.

    A receipt may have hundreds of lines, so `shares` are plain tuples like a `LineShare`, which cost less.
    """

    lots: tuple[LotChange, ...] = ()
    opened_holds: tuple[Hold, ...] = ()
    closed_holds: tuple[int, ...] = ()
    undated_expires_at_us: int | None = None
    qualified: tuple[Qualified, ...] = ()
    tier_base: TierBase | None = None
    counted: tuple[Counted, ...] = ()
    shares: tuple[tuple[int, int, int, int], ...] = ()
    returned: tuple[ReturnedPart, ...] = ()
    shortfall_points: int = 0


NO_EFFECTS: Final = Effects()
SUBJECTS_MAX: Final = 8


def apply_effects(state: MemberState, effects: Effects) -> MemberState:
    """The state after an operation; a pure sum, which decides nothing."""
    expires_at_us = effects.undated_expires_at_us
    return MemberState(
        _add_active(state.lots, effects.lots),
        _add_pending(state.pending, effects.lots),
        _change_holds(state.holds, effects),
        state.undated_expires_at_us if expires_at_us is None else expires_at_us,
        _qualify(state.qualification, effects),
        _count(state.tallies, effects.counted) if effects.counted else state.tallies,
    )


def _add_active(
    lots: tuple[tuple[int, int], ...], changes: Sequence[LotChange]
) -> tuple[tuple[int, int], ...]:
    dated = [change for change in changes if not change.active_at_us and change.expires_at_us]
    if not dated:
        return lots
    changed = list(lots)
    for _, expires_at_us, change in dated:
        at = bisect_left(changed, (expires_at_us,))
        is_there = at < len(changed) and changed[at][0] == expires_at_us
        points = change + (changed[at][1] if is_there else 0)
        changed[at : at + is_there] = [(expires_at_us, points)] if points else []
    return tuple(changed)


def _add_pending(pending: tuple[PendingLot, ...], changes: Sequence[LotChange]) -> tuple[PendingLot, ...]:
    added = [change for change in changes if change.active_at_us]
    if not added:
        return pending
    points = {(active_at_us, expires_at_us): points for active_at_us, expires_at_us, points in pending}
    for active_at_us, expires_at_us, change in added:
        times = active_at_us, expires_at_us
        points[times] = points.get(times, 0) + change
    return tuple([PendingLot(*times, left) for times, left in sorted(points.items()) if left])


def _change_holds(holds: tuple[Hold, ...], effects: Effects) -> tuple[Hold, ...]:
    if not (effects.opened_holds or effects.closed_holds):
        return holds
    kept = [hold for hold in holds if hold.hold_id not in effects.closed_holds]
    return (*kept, *effects.opened_holds)


def _qualify(qualification: Qualification, effects: Effects) -> Qualification:
    if effects.tier_base:
        level, month = effects.tier_base
        qualification = qualification._replace(base_level=level, base_month=month)
    for change in effects.qualified:
        qualification = _add_qualified(qualification, change)
    return qualification


def _add_qualified(qualification: Qualification, change: Qualified) -> Qualification:
    level, base_month, life_points, life_minor, months = qualification
    return Qualification(
        level,
        base_month,
        life_points + change.points,
        life_minor + change.minor,
        _add_to_months(months, change),
    )


def _add_to_months(months: tuple[Month, ...], change: Qualified) -> tuple[Month, ...]:
    in_month, more_points, more_minor, keep_from_month = change
    kept = {each.month: each for each in months if each.month >= keep_from_month}
    if in_month >= keep_from_month:
        _, points, minor = kept.get(in_month, (in_month, 0, 0))
        kept[in_month] = Month(in_month, points + more_points, minor + more_minor)
    # A month that comes in between is rare: they ascend already.
    ordered = kept.values() if in_month >= max(kept, default=0) else [kept[each] for each in sorted(kept)]
    return tuple([each for each in ordered if each[1] or each[2]])


def _count(tallies: tuple[Tally, ...], counted: Sequence[Counted]) -> tuple[Tally, ...]:
    """The subjects that were counted last stay; cards beyond the bound are forgotten."""
    by_subject = {tally.subject: tally for tally in tallies}
    for count in counted:
        tally = by_subject.pop(count.subject, None)
        by_subject[count.subject] = count_operation(tally, count)
    return tuple(by_subject.values())[-SUBJECTS_MAX:]


def count_operation(tally: Tally | None, count: Counted) -> Tally:
    """The tally with one more operation; an hour or a day that has begun anew starts at nothing.

    Clocks differ: who is still in an hour or a day that has ended for others counts for the new one.
    """
    subject, hour, day, earned, redeemed = count
    if tally:
        hour, day = _begun(hour, tally.hour), _begun(day, tally.day)
    in_hour = tally[2:5] if tally and tally.hour == hour else (0, 0, 0)
    in_day = tally[6:9] if tally and tally.day == day else (0, 0, 0)
    return Tally(
        subject,
        hour,
        in_hour[0] + 1,
        in_hour[1] + earned,
        in_hour[2] + redeemed,
        day,
        in_day[0] + 1,
        in_day[1] + earned,
        in_day[2] + redeemed,
    )


def _begun(own: int, others: int) -> int:
    return others if others == own + 1 else own
