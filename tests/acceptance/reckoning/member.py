"""What the model knows of a member."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.acceptance.reckoning.limits import Sold
from tests.acceptance.reckoning.replies import Learned
from tests.acceptance.reckoning.wallet import Added, Slice, Wallet


class Part(NamedTuple):
    """How much of an operation, or of one line of it."""

    earned_points: int = 0
    redeemed_points: int = 0
    redeemed_minor: int = 0
    discount_minor: int = 0
    total_minor: int = 0

    @property
    def paid_minor(self) -> int:
        """Paid with money."""
        return self.total_minor - self.discount_minor - self.redeemed_minor


NOTHING: Final = Part()


class SoldLine(NamedTuple):
    quantity_milli: int
    part: Part


@dataclass
class Done:
    """An operation as later ones need to know it: `whole` is all that it did, if it was applied.

    `drawn` and `added` are the lots that its points came from and went to. `counts` tells whether it counts
    towards the tier, `counts_money` whether its money does, too. `followed_by` is the kind of what undid or
    ended it. `sold` is what it counted for limits.
    """

    kind: str
    is_applied: bool = True
    whole: Part = NOTHING
    lines: Sequence[SoldLine] = ()
    drawn: Sequence[Slice] = ()
    added: Sequence[Added] = ()
    counts: bool = False
    counts_money: bool = False
    followed_by: str = ""
    sold: Sold | None = None
    returned_milli: dict[int, int] = field(default_factory=dict)


@dataclass
class Member:
    """`history` has the keys of all entries in order; `counted` are points and money for the tier.

    Time does not pass while the model is asked, so whatever is counted counts in the present period.
    """

    member_id: Learned
    segments: frozenset[str] = frozenset()
    is_closed: bool = False
    wallet: Wallet = field(default_factory=Wallet)
    counted_points: int = 0
    counted_minor: int = 0
    history: list[str] = field(default_factory=list)
    done: dict[str, Done] = field(default_factory=dict)


class Decided(NamedTuple):
    """What a call does to a member: the fields of its operation, and what is so afterwards.

    `counted` are points and money for the tier; `sold` is for the limits.
    """

    fields: dict[str, object]
    wallet: Wallet
    done: Done
    counted: tuple[int, int] = (0, 0)
    sold: Sold | None = None
