"""How points go into a member's lots, come out of them, and come back."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from processor.domain.effects import LotChange
from processor.domain.state import Lot, MemberState

_NEVER_US: Final = 2**63 - 1


def draw(state: MemberState, balance_points: int, points: int) -> tuple[LotChange, ...]:
    """Take available points, those that expire soonest first.

    Empty if all of them are undated. What goes beyond the available points is undated too: a debt.
    """
    if not state.lots or not points:
        return ()
    changes: list[LotChange] = []
    for expires_at_us, in_lot in _by_expiry(state, balance_points):
        taken = min(in_lot, points)
        if taken:
            changes.append(LotChange(0, expires_at_us, -taken))
            points -= taken
        if not points:
            break
    if points:
        changes.append(LotChange(0, 0, -points))
    return tuple(changes)


def _by_expiry(state: MemberState, balance_points: int) -> Iterator[tuple[int, int]]:
    """All lots and the undated points, soonest first."""
    undated = 0, max(state.undated_points(balance_points), 0)
    undated_at_us = state.undated_expires_at_us or _NEVER_US
    sooner = bisect_left(state.lots, (undated_at_us,))
    return chain(state.lots[:sooner], (undated,), state.lots[sooner:])


def drawn_slices(changes: Iterable[LotChange], points: int) -> tuple[Lot, ...]:
    """The lots that `points` were drawn from, in order: those that `changes` names, the rest undated."""
    slices = [Lot(change.expires_at_us, -change.points) for change in changes if change.points < 0]
    undated = points - sum(piece.points for piece in slices)
    return (*slices, Lot(0, undated)) if undated else tuple(slices)


def last_of(slices: Sequence[Lot], skipped: int, points: int) -> list[Lot]:
    """The part of `slices` that was drawn last, after as much as `skipped` points of it."""
    parts: list[Lot] = []
    for expires_at_us, available in reversed(slices):
        passed = min(skipped, available)
        skipped -= passed
        taken = min(available - passed, points)
        points -= taken
        if taken:
            parts.append(Lot(expires_at_us, taken))
    return parts


def credit(
    state: MemberState, balance_points: int, points: int, active_at_us: int, expires_at_us: int
) -> tuple[LotChange, ...]:
    """Add points to a lot, or to the undated ones if it has no time. Active points pay a debt first."""
    if not points or not (active_at_us or expires_at_us):
        return ()
    if active_at_us:
        return (LotChange(active_at_us, expires_at_us, points),)
    debt_points = max(-state.undated_points(balance_points), 0)
    dated = points - min(points, debt_points)
    return (LotChange(0, expires_at_us, dated),) if dated else ()


def give_back(state: MemberState, balance_points: int, slices: Iterable[Lot]) -> tuple[LotChange, ...]:
    """Put slices back into the lots they came from; they pay a debt first."""
    debt_points = max(-state.undated_points(balance_points), 0)
    changes: list[LotChange] = []
    for expires_at_us, points in slices:
        paid = min(points, debt_points)
        debt_points -= paid
        if expires_at_us and points > paid:
            changes.append(LotChange(0, expires_at_us, points - paid))
    return tuple(changes)
