"""A member's points: what can be spent and until when, what is pending or held, and what is owed."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

# When points expire, in microseconds since the Unix epoch; None if never, or if they slide with activity.
Expiry = int | None


class Slice(NamedTuple):
    """Points out of one lot."""

    expires_at_us: Expiry
    points: int


class Added(NamedTuple):
    """Points as they were earned; `active_at_us` is None if they could be spent at once."""

    active_at_us: int | None
    expires_at_us: Expiry
    points: int


@dataclass
class Hold:
    expires_at_us: int
    slices: list[Slice]

    @property
    def points(self) -> int:
        return sum(piece.points for piece in self.slices)


class Matured(NamedTuple):
    """What time did to a wallet: the kind of the ledger's entry, and the points that are gone."""

    kind: str
    expired_points: int


@dataclass
class Wallet:
    """Nothing is owed while anything can be spent. `sliding_until_us` is for the points that never expire."""

    lots: defaultdict[Expiry, int] = field(default_factory=lambda: defaultdict(int))
    pending: defaultdict[tuple[int, Expiry], int] = field(default_factory=lambda: defaultdict(int))
    holds: dict[str, Hold] = field(default_factory=dict)
    owed_points: int = 0
    sliding_until_us: int | None = None

    @property
    def available_points(self) -> int:
        return sum(self.lots.values()) - self.owed_points

    @property
    def held_points(self) -> int:
        return sum(hold.points for hold in self.holds.values())

    @property
    def pending_points(self) -> int:
        return sum(self.pending.values())

    @property
    def balance_points(self) -> int:
        return self.available_points + self.held_points + self.pending_points

    def spendable(self) -> list[Slice]:
        """The lots that are not empty, those that expire soonest first."""
        lots = [Slice(expires_at_us, points) for expires_at_us, points in self.lots.items() if points]
        return sorted(lots, key=lambda lot: (self.expiry_of(lot), lot.expires_at_us is None))

    def expiry_of(self, lot: Slice) -> float:
        return lot.expires_at_us or self.sliding_until_us or math.inf

    def told_lots(self) -> list[tuple[int, Expiry]]:
        """Points and expiry of what can be spent, as a balance tells them."""
        return [(lot.points, lot.expires_at_us or self.sliding_until_us) for lot in self.spendable()]

    def told_pending(self) -> list[tuple[int, int, Expiry]]:
        """Points, beginning and expiry of what can't be spent yet, soonest first."""
        pending = [(points, *times_us) for times_us, points in self.pending.items() if points]
        return sorted(pending, key=lambda lot: (lot[1], lot[2] or 0))

    def spend(self, points: int) -> list[Slice]:
        """Take points out of the lots; what is not there is owed, as points that never expire."""
        taken = []
        for lot in self.spendable():
            part = min(lot.points, points)
            if part:
                self.lots[lot.expires_at_us] -= part
                taken.append(Slice(lot.expires_at_us, part))
                points -= part
        self.owed_points += points
        return [*taken, Slice(None, points)] if points else taken

    def give(self, slices: Iterable[Slice]) -> list[Added]:
        """Put points into their lots; what is owed is paid first. Returns what is in lots then."""
        added = []
        for expires_at_us, points in slices:
            paid = min(points, self.owed_points)
            self.owed_points -= paid
            if points > paid:
                self.lots[expires_at_us] += points - paid
                added.append(Added(None, expires_at_us, points - paid))
        return added

    def earn(self, points: int, active_at_us: int | None, expires_at_us: Expiry) -> list[Added]:
        """Add points, to be spent at once or later."""
        if not points:
            return []
        if active_at_us is None:
            return self.give([Slice(expires_at_us, points)])
        self.pending[active_at_us, expires_at_us] += points
        return [Added(active_at_us, expires_at_us, points)]

    def slide(self, until_us: int | None) -> None:
        """Points that never expire otherwise do so then, from now on, unless they have a time already."""
        self.sliding_until_us = self.sliding_until_us or until_us

    def mature(self, now_us: int) -> Iterator[Matured]:
        """Do what is due, in the order of time; of one moment's the ends of holds come first.

        Points never become active while this model is asked: the shortest wait is a day.
        """
        while due_us := self._first_due_us(now_us):
            over = [key for key, hold in self.holds.items() if hold.expires_at_us == due_us]
            if over:
                self.give(self.holds.pop(over[0]).slices)
                yield Matured("RELEASE", 0)
            else:
                yield Matured("EXPIRE", self.lots.pop(due_us))

    def _first_due_us(self, now_us: int) -> int | None:
        times_us = [hold.expires_at_us for hold in self.holds.values()]
        times_us += [expires_at_us for expires_at_us, points in self.lots.items() if expires_at_us and points]
        return min((time_us for time_us in times_us if time_us <= now_us), default=None)
