"""A receipt on its way through the rules of a program."""

from collections.abc import Sequence
from operator import add, attrgetter, mul, not_, or_, sub
from typing import Final

from processor.domain.account import Account
from processor.domain.command import Command, Kind, LineItem
from processor.domain.decision import AppliedRule
from processor.domain.effects import (
    Counted,
    Effects,
    LotChange,
    Qualified,
    TierBase,
)
from processor.domain.points import apportion
from processor.domain.program import Goods, Program, TierLevel
from processor.domain.situation import Situation
from processor.domain.state import decode_state
from processor.domain.tiers import NO_TIER, Window

PERCENT: Final = 100
sku_of: Final = attrgetter("sku")
category_of: Final = attrgetter("category")
brand_of: Final = attrgetter("brand")
_amount_of: Final = attrgetter("amount_minor")
# In the order of the fields of Goods.
_GOODS_NAMES_OF: Final = (category_of, brand_of, sku_of)
_REDEEM: Final = Kind.REDEEM


class Sale:
    """What the rules have made of a receipt so far; each rule reads it and adds its part.

    A receipt without lines counts as one line. Per line: `discounts_minor` and `redeemed_minor` are taken off
    it, which leaves `open_minor`; `weights_percent` is what it counts for when points are earned.
    """

    tier: TierLevel = NO_TIER
    tier_window: Window | None = None
    redeemed_points: int = 0
    shortfall_points: int = 0
    earned_points: int = 0
    lots: tuple[LotChange, ...] = ()
    undated_expires_at_us: int | None = None
    qualified: tuple[Qualified, ...] = ()
    tier_base: TierBase | None = None
    counted: tuple[Counted, ...] = ()

    def __init__(self, account: Account, command: Command, program: Program, situation: Situation) -> None:
        receipt = command.receipt
        self.account = account
        self.command = command
        self.program = program
        self.situation = situation
        self.at_us = command.occurred_at_us if command.offline else situation.now_us
        self.state = decode_state(account.state)
        self.segments = frozenset(account.segments.split(",")) if account.segments else frozenset()
        self.lines = receipt.lines or (LineItem("", 1_000, receipt.total_minor, ""),)
        nothing = [0] * len(self.lines)
        self.open_minor = self.amounts_minor()
        self.discounts_minor = nothing
        self.redeemed_minor = nothing
        self.spent_points = nothing
        self.weights_percent = [PERCENT] * len(self.lines)
        self.earns = command.kind is not _REDEEM
        self.earned_by_line = nothing
        self.applied_rules: list[AppliedRule] = []
        self.flags: list[str] = []

    @property
    def is_online(self) -> bool:
        """Whether the bounds of redemptions are to be kept; offline the goods are gone already."""
        return not self.command.offline

    @property
    def available_points(self) -> int:
        """What the member could spend before this sale; below zero it is a debt."""
        return self.state.available_points(self.account.balance_points)

    def amounts_minor(self) -> list[int]:
        """What each line comes to before anything is taken off it."""
        return list(map(_amount_of, self.lines))

    def open_minor_without(self, excluded: Goods | None) -> list[int]:
        """What is left of each line after discounts and redeemed points, but nothing of excluded goods."""
        return self.without(excluded, self.open_minor) if excluded else self.open_minor

    def without(self, excluded: Goods, by_line: list[int]) -> list[int]:
        """The same numbers, line by line, but nothing for excluded goods."""
        return list(map(mul, by_line, map(not_, self._are_among(excluded))))

    def _are_among(self, goods: Goods) -> list[bool]:
        """For each line, whether it is of these goods."""
        among = [False] * len(self.lines)
        for names, name_of in zip(goods, _GOODS_NAMES_OF, strict=True):
            if names:
                among = list(map(or_, among, map(names.__contains__, map(name_of, self.lines))))
        return among

    def take_off(self, rule: str, minor_by_line: list[int], points: int = 0) -> None:
        """Note a discount, line by line, and the points that it costs."""
        self.discounts_minor = list(map(add, self.discounts_minor, minor_by_line))
        self.open_minor = list(map(sub, self.open_minor, minor_by_line))
        if points:
            self.spend(points, minor_by_line)
        self.apply(rule, points=-points, minor=sum(minor_by_line))

    def pay(self, rule: str, minor_by_line: list[int], points: int) -> None:
        """Note what points pay, line by line."""
        self.redeemed_minor = minor_by_line
        self.open_minor = list(map(sub, self.open_minor, minor_by_line))
        self.spend(points, minor_by_line)
        self.apply(rule, points=-points, minor=sum(minor_by_line))

    def take_payment_back(self) -> None:
        """Let the receipt be unpaid again, but for its rewards."""
        self.open_minor = list(map(add, self.open_minor, self.redeemed_minor))
        self.redeemed_minor = [0] * len(self.lines)
        self.redeemed_points -= self.command.redeem_points

    def spend(self, points: int, minor_by_line: list[int]) -> None:
        """Note points that the member spends, in proportion to what they pay of each line."""
        self.redeemed_points += points
        weights = minor_by_line if any(minor_by_line) else self.amounts_minor()
        parts = self.split(points, weights)
        self.spent_points = list(map(add, self.spent_points, parts))

    def split(self, total: int, weights: Sequence[int]) -> list[int]:
        """Split `total` over the lines in proportion to `weights`; their order on the receipt is nothing."""
        return apportion(total, weights, self.lines)

    def apply(self, rule: str, *, points: int = 0, minor: int = 0) -> None:
        """Note that a rule has had its part in the decision."""
        self.applied_rules.append(AppliedRule(rule, points, minor))

    def effects(self) -> Effects:
        """All that the sale does to the member's state."""
        return Effects(
            lots=self.lots,
            undated_expires_at_us=self.undated_expires_at_us,
            qualified=self.qualified,
            tier_base=self.tier_base,
            counted=self.counted,
            shares=self._shares() if self.command.receipt.lines else (),
            shortfall_points=self.shortfall_points,
        )

    def _shares(self) -> tuple[tuple[int, int, int, int], ...]:
        columns = self.earned_by_line, self.spent_points, self.redeemed_minor, self.discounts_minor
        return tuple(zip(*columns, strict=True))
