"""What an operation does to a member's state, as the ledger keeps it: the state is the sum of these."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
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

    `uncounted` are points that no longer count for a subject's hour and day, as their operation is undone.
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
    uncounted: tuple[Counted, ...] = ()


NO_EFFECTS: Final = Effects()
SUBJECTS_MAX: Final = 64
_CACHED: Final = 64


def apply_effects(state: MemberState, effects: Effects) -> MemberState:
    """The state after an operation; a pure sum, which decides nothing."""
    lots, pending, holds, undated_expires_at_us, qualification, tallies = state
    if effects.lots:
        lots = _add_active(lots, effects.lots)
        pending = _add_pending(pending, effects.lots)
    if effects.opened_holds or effects.closed_holds:
        holds = _change_holds(holds, effects)
    if effects.undated_expires_at_us is not None:
        undated_expires_at_us = effects.undated_expires_at_us
    if effects.qualified or effects.tier_base:
        qualification = _qualify(qualification, effects)
    if effects.counted:
        tallies = _count(tallies, effects.counted)
    if effects.uncounted:
        tallies = _uncount(tallies, effects.uncounted)
    return MemberState(lots, pending, holds, undated_expires_at_us, qualification, tallies)


def _add_active(
    lots: tuple[tuple[int, int], ...], changes: Sequence[LotChange]
) -> tuple[tuple[int, int], ...]:
    changed = list(lots)
    for active_at_us, expires_at_us, points in changes:
        if expires_at_us and not active_at_us:
            _add_to_lot(changed, expires_at_us, points)
    return tuple(changed)


def _add_to_lot(lots: list[tuple[int, int]], expires_at_us: int, points: int) -> None:
    at = bisect_left(lots, (expires_at_us,))
    is_there = at < len(lots) and lots[at][0] == expires_at_us
    if is_there:
        points += lots[at][1]
    lots[at : at + is_there] = [(expires_at_us, points)] if points else []


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
    kept = [hold for hold in holds if hold.hold_id not in effects.closed_holds]
    return (*kept, *effects.opened_holds)


def _qualify(qualification: Qualification, effects: Effects) -> Qualification:
    level, base_month, life_points, life_minor, months = qualification
    if effects.tier_base:
        level, base_month = effects.tier_base
    for change in effects.qualified:
        life_points += change.points
        life_minor += change.minor
        months = _add_to_months(months, change)
    return Qualification(level, base_month, life_points, life_minor, months)


def _add_to_months(months: tuple[Month, ...], change: Qualified) -> tuple[Month, ...]:
    in_month, points, minor, keep_from_month = change
    if months and months[0].month < keep_from_month:
        months = months[bisect_left(months, (keep_from_month,)) :]
    if in_month < keep_from_month:
        return months
    at = bisect_left(months, (in_month,))
    is_there = at < len(months) and months[at].month == in_month
    if is_there:
        _, points_before, minor_before = months[at]
        points += points_before
        minor += minor_before
    changed = (Month(in_month, points, minor),) if points or minor else ()
    return (*months[:at], *changed, *months[at + is_there :])


def _count(tallies: tuple[Tally, ...], counted: Sequence[Counted]) -> tuple[Tally, ...]:
    """The subjects that were counted last stay; cards beyond the bound are forgotten."""
    by_subject = {tally.subject: tally for tally in tallies}
    for count in counted:
        tally = by_subject.pop(count.subject, None)
        by_subject[count.subject] = count_operation(tally, count)
    return tuple(by_subject.values())[-SUBJECTS_MAX:]


def _uncount(tallies: tuple[Tally, ...], uncounted: Sequence[Counted]) -> tuple[Tally, ...]:
    by_subject = {each.subject: each for each in uncounted}
    return tuple(
        [
            _without(tally, by_subject[tally.subject]) if tally.subject in by_subject else tally
            for tally in tallies
        ]
    )


def _without(tally: Tally, uncounted: Counted) -> Tally:
    """The operation itself stays counted. A card may have been forgotten since, and counted anew."""
    _, hour, day, earned, redeemed = uncounted
    if tally.hour == hour:
        tally = tally._replace(
            hour_earned_points=max(tally.hour_earned_points - earned, 0),
            hour_redeemed_points=max(tally.hour_redeemed_points - redeemed, 0),
        )
    if tally.day == day:
        tally = tally._replace(
            day_earned_points=max(tally.day_earned_points - earned, 0),
            day_redeemed_points=max(tally.day_redeemed_points - redeemed, 0),
        )
    return tally


@lru_cache(_CACHED)
def count_operation(tally: Tally | None, count: Counted) -> Tally:
    """The tally with one more operation; an hour or a day that has begun anew starts at nothing.

    Clocks differ: who is still in an hour or a day that has ended for others counts for the new one. It is
    asked for twice in an operation: for its limits, and for what it leaves.
    """
    subject, hour, day, earned, redeemed = count
    if tally is None:
        return Tally(subject, hour, 1, earned, redeemed, day, 1, earned, redeemed)
    tally_hour, hour_operations, hour_earned, hour_redeemed = tally[1:5]
    tally_day, day_operations, day_earned, day_redeemed = tally[5:]
    if tally_hour in (hour, hour + 1):
        hour = tally_hour
    else:
        hour_operations = hour_earned = hour_redeemed = 0
    if tally_day in (day, day + 1):
        day = tally_day
    else:
        day_operations = day_earned = day_redeemed = 0
    return Tally(
        subject,
        hour,
        hour_operations + 1,
        hour_earned + earned,
        hour_redeemed + redeemed,
        day,
        day_operations + 1,
        day_earned + earned,
        day_redeemed + redeemed,
    )
