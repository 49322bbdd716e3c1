"""Two programs side by side on the same members: figures, tiers, segments, who wins and who loses."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from processor.domain.command import SALE_KINDS
from processor.domain.program import Program
from processor.domain.simulation import Figures, Recorded, simulate

_SHOWN: Final = 5


@dataclass
class Group:
    """Members of one kind."""

    members: int = 0
    present: Figures = field(default_factory=Figures)
    proposed: Figures = field(default_factory=Figures)


class Change(NamedTuple):
    """What the program is worth to a member, in minor units; sorts by what the proposed one gives more."""

    difference_minor: int
    member_id: int
    present_minor: int
    proposed_minor: int


class Comparison:
    """Grows by one member at a time; memory does not grow with the members."""

    def __init__(self, present: Program, proposed: Program, until_us: int) -> None:
        """Pending points, expiries and tiers are those at `until_us`."""
        self._programs = present, proposed
        self._until_us = until_us
        self.all = Group()
        self.segments: defaultdict[str, Group] = defaultdict(Group)
        self.present_tiers: Counter[str] = Counter()
        self.proposed_tiers: Counter[str] = Counter()
        self.receipts_without_lines = 0
        self._winners: list[Change] = []
        self._losers: list[Change] = []

    @property
    def winners(self) -> list[Change]:
        """Those to whom the proposed program gives most more, first."""
        return sorted(self._winners, reverse=True)

    @property
    def losers(self) -> list[Change]:
        """Those to whom it gives most less, first."""
        return sorted(change._replace(difference_minor=-change.difference_minor) for change in self._losers)

    def add(self, member_id: int, segments: str, history: Sequence[Recorded]) -> None:
        """Simulate one more member under both programs."""
        present, proposed = (simulate(each, segments, history, self._until_us) for each in self._programs)
        for group in (self.all, *[self.segments[name] for name in segments.split(",")]):
            group.members += 1
            group.present.add(present.figures)
            group.proposed.add(proposed.figures)
        self.present_tiers[present.tier] += 1
        self.proposed_tiers[proposed.tier] += 1
        self.receipts_without_lines += sum(
            each.kind in SALE_KINDS and not each.receipt_lines for each in history
        )
        difference_minor = proposed.benefit_minor - present.benefit_minor
        change = Change(difference_minor, member_id, present.benefit_minor, proposed.benefit_minor)
        if difference_minor > 0:
            _keep_largest(self._winners, change)
        elif difference_minor < 0:
            _keep_largest(self._losers, change._replace(difference_minor=-difference_minor))


def _keep_largest(heap: list[Change], change: Change) -> None:
    if len(heap) < _SHOWN:
        heapq.heappush(heap, change)
    else:
        heapq.heappushpop(heap, change)
