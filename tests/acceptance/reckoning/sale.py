"""What a receipt gives and takes: tier, discount, rewards, payment, earning, limits; in this order."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from processor.domain.program_document import ProgramDocument
from processor.domain.program_sections import (
    GoodsDocument,
    LevelDocument,
    RateDocument,
    RedemptionDocument,
    RewardDocument,
)
from tests.acceptance.reckoning.arithmetic import rounded, split
from tests.acceptance.reckoning.ask import PIECE_MILLI, Ask, Line
from tests.acceptance.reckoning.limits import Limits, sold_now
from tests.acceptance.reckoning.member import Member, Part, SoldLine
from tests.acceptance.reckoning.replies import Refused, Rule
from tests.acceptance.reckoning.tiers import level_of

_NO_REDEMPTION: Final[RedemptionDocument] = {
    "value_points": 1,
    "value_minor": 1,
    "minimum_points": 1,
    "maximum_share_percent": 0,
}


class Reckoning:
    """One receipt under one program; `reckon` fills in the results. Nothing of the member is changed."""

    def __init__(self, program: ProgramDocument, member: Member, ask: Ask, limits: Limits) -> None:
        self.program = program
        self.member = member
        self.ask = ask
        self.limits = limits
        self.rounding = program["earning"]["rounding"]
        self.redemption = program.get("redemption", _NO_REDEMPTION)
        self.left = [line.amount_minor for line in ask.lines]
        self.discounts = [0] * len(self.left)
        self.redeemed = [0] * len(self.left)
        self.spent_by_line = [0] * len(self.left)
        self.earned_by_line = [0] * len(self.left)
        self.spent_points = 0
        self.earned_points = 0
        self.shortfall_points = 0
        self.is_earning = ask.kind != "REDEEM"
        self.level: LevelDocument = {"name": "", "threshold": 0}
        self.rules: list[Rule] = []
        self.flags: list[str] = []

    def reckon(self) -> "Reckoning":
        """Raises Refused."""
        self._find_tier()
        self._take_discount()
        for reward_id in self.ask.rewards:
            self._take_reward(reward_id)
        self._pay_with_points()
        self._earn()
        sale = sold_now(self.program, self.limits.member, self.ask, self.earned_points, self.spent_points)
        held = self.member.wallet.held_points
        is_online = not self.ask.is_offline
        self.flags += self.limits.check(self.program, sale, held_points=held, refuses=is_online)
        return self

    # --- results ---

    @property
    def whole(self) -> Part:
        return Part(
            self.earned_points,
            self.spent_points,
            sum(self.redeemed),
            sum(self.discounts),
            self.ask.total_minor,
        )

    def sold_lines(self) -> list[SoldLine]:
        """What each line has a part in; none if the receipt had no lines."""
        if not self.ask.has_lines:
            return []
        amounts = [line.amount_minor for line in self.ask.lines]
        columns = (self.earned_by_line, self.spent_by_line, self.redeemed, self.discounts, amounts)
        return [
            SoldLine(line.quantity_milli, Part(*part))
            for line, *part in zip(self.ask.lines, *columns, strict=True)
        ]

    @property
    def available_points(self) -> int:
        return max(self.member.wallet.available_points, 0)

    def _split(self, total: int, amounts: Sequence[int]) -> list[int]:
        return split(total, amounts, self.ask.lines)

    # --- tier and discount ---

    def _find_tier(self) -> None:
        self.level = level_of(self.program, self.member)

    @property
    def _tier_percent(self) -> int:
        return self.level.get("multiplier_percent", 100)

    def _take_discount(self) -> None:
        discount = self.program.get("discount", {})
        percents = [
            discount.get("percent", 0),
            self.level.get("discount_percent", 0),
            *(each["percent"] for each in discount.get("segments", ()) if self._is_in(each["segment"])),
        ]
        if self.ask.is_spending and not discount.get("combined_with_points", True):
            return
        eligible = self._left_but(discount.get("excluded", {}))
        off_minor = self._share(sum(eligible), max(percents))
        if off_minor:
            self._take_off("discount", self._split(off_minor, eligible))
            self.is_earning = self.is_earning and discount.get("combined_with_earning", True)

    def _is_in(self, segment: str) -> bool:
        return segment in self.member.segments

    def _share(self, amount: int, percent: int) -> int:
        return rounded(Fraction(amount * percent, 100), self.rounding)

    def _left_but(self, goods: GoodsDocument) -> list[int]:
        """What is left of each line, with nothing of these goods."""
        return [
            0 if is_of(line, goods) else left for line, left in zip(self.ask.lines, self.left, strict=True)
        ]

    def _take_off(self, rule: str, by_line: list[int], points: int = 0) -> None:
        self.discounts = added(self.discounts, by_line)
        self.left = less(self.left, by_line)
        self._spend(points, by_line)
        self.rules.append(Rule(rule, -points, sum(by_line)))

    def _spend(self, points: int, by_line: list[int]) -> None:
        """Points belong to the lines as the money that they stand for."""
        amounts = by_line if any(by_line) else [line.amount_minor for line in self.ask.lines]
        self.spent_points += points
        self.spent_by_line = added(self.spent_by_line, self._split(points, amounts))

    # --- rewards ---

    def _take_reward(self, reward_id: str) -> None:
        offered = {reward["id"]: reward for reward in self.program.get("rewards", ())}
        reward = offered.get(reward_id)
        if reward is None:
            raise Refused("REWARD_NOT_AVAILABLE", reward_id=reward_id, why="not_offered")
        by_line = self._worth(reward)
        segments = reward.get("segments", [])
        reasons = {
            "segment": bool(segments) and not any(map(self._is_in, segments)),
            "points": not self.ask.is_offline
            and reward["points"] > self.member.wallet.available_points - self.spent_points,
            "limit": not self.ask.is_offline and reward["points"] > self._points_left(),
            "goods": not any(by_line),
        }
        for why, applies in reasons.items():
            if applies:
                raise Refused("REWARD_NOT_AVAILABLE", reward_id=reward_id, why=why)
        self._take_off(f"rewards.{reward_id}", by_line, reward["points"])

    def _worth(self, reward: RewardDocument) -> list[int]:
        payable = self._left_but(self.redemption.get("excluded", {}))
        if "discount_percent" in reward:
            return self._split(self._share(sum(payable), reward["discount_percent"]), payable)
        if "delivery_category" in reward:
            return [
                left if line.category == reward["delivery_category"] else 0
                for line, left in zip(self.ask.lines, payable, strict=True)
            ]
        return self._dearest_piece(reward["product_sku"], payable)

    def _dearest_piece(self, sku: str, payable: Sequence[int]) -> list[int]:
        """Less than a whole piece counts as one."""
        prices = [
            math.floor(Fraction(left) / max(Fraction(line.quantity_milli, PIECE_MILLI), Fraction(1)))
            if line.sku == sku
            else 0
            for line, left in zip(self.ask.lines, payable, strict=True)
        ]
        dearest = max(range(len(prices)), key=lambda number: (prices[number], self.ask.lines[number]))
        return [price if number == dearest else 0 for number, price in enumerate(prices)]

    # --- points that pay ---

    @property
    def _point_minor(self) -> Fraction:
        return point_minor(self.program)

    def _pay_with_points(self) -> None:
        wanted = self.ask.redeem_points
        if wanted and not self.ask.is_offline:
            self._refuse_redemption(wanted)
        if wanted and not self.redemption["maximum_share_percent"]:
            raise Refused("REDEMPTION_ABOVE_LIMIT", limit_points=0, redeem_points=wanted)
        if wanted:
            payable = self._left_but(self.redemption.get("excluded", {}))
            value_minor = min(math.floor(wanted * self._point_minor), sum(payable))
            self.redeemed = self._split(value_minor, payable)
            self.left = less(self.left, self.redeemed)
            self._spend(wanted, self.redeemed)
            self.rules.append(Rule("redemption", -wanted, value_minor))
        if self.ask.is_offline:
            self._record_shortfall()

    def _refuse_redemption(self, wanted: int) -> None:
        minimum, limit = self.redemption["minimum_points"], self.limit_points()
        if wanted < minimum:
            raise Refused("REDEMPTION_BELOW_MINIMUM", minimum_points=minimum, redeem_points=wanted)
        if wanted > limit:
            raise Refused("REDEMPTION_ABOVE_LIMIT", limit_points=limit, redeem_points=wanted)
        if wanted > self.available_points - self.spent_points:
            raise insufficient(self.member, wanted)

    def limit_points(self) -> int:
        """The most points that the receipt takes as it is now, whoever pays."""
        share_minor = math.floor(Fraction(sum(self.left) * self.redemption["maximum_share_percent"], 100))
        payable_minor = sum(self._left_but(self.redemption.get("excluded", {})))
        # The most points whose value, without its fraction, is within that.
        most = math.ceil((min(share_minor, payable_minor) + 1) / self._point_minor) - 1
        return min(most, self._points_left())

    def _points_left(self) -> int:
        """What the receipt and the day still take, whatever the receipt comes to."""
        day_max = self.redemption.get("maximum_points_per_day", 10**18)
        used_today = self.limits.redeemed_today(self.program) + self.member.wallet.held_points
        receipt_max = self.redemption.get("maximum_points_per_receipt", 10**18)
        return max(min(receipt_max, day_max - used_today) - self.spent_points, 0)

    def _record_shortfall(self) -> None:
        """What was spent offline is spent: within the limit it may be a debt, beyond it is lost."""
        offline = self.program.get("offline", {})
        most = offline.get("redeem_points_max", 0)
        if self.spent_points > most:
            self.flags.append("offline.redeem_points_max")
        if self.ask.barred_for:
            most = 0
        elif offline.get("shortfall") != "allow_negative":
            most = min(most, self.available_points)
        if self.spent_points > most:
            self.shortfall_points = self.spent_points - most
            self.spent_points = most
            self.spent_by_line = self._split(most, self.spent_by_line)

    # --- earning ---

    def _earn(self) -> None:
        if not self.is_earning:
            return
        weights = self._weights()
        if self._tier_percent != 100:
            self.rules.append(Rule("tiers"))
        paid = self.left
        if self.program["earning"].get("on_redeemed_part"):
            paid = added(self.left, self.redeemed)
        counted = [
            Fraction(minor * weight * self._tier_percent, 100 * 100)
            for minor, weight in zip(paid, weights, strict=True)
        ]
        rate = self._rate(sum(paid))
        if self.program["earning"]["rounding_scope"] == "line":
            self.earned_by_line = [self._points(rate, each) for each in counted]
            self.earned_points = sum(self.earned_by_line)
        else:
            self.earned_points = self._points(rate, sum(counted, Fraction(0)))
            self.earned_by_line = self._split(
                self.earned_points, [minor * weight for minor, weight in zip(paid, weights, strict=True)]
            )
        if self.earned_points:
            self.rules.append(Rule("earning", self.earned_points))

    def _weights(self) -> list[int]:
        """What each line counts for, in per cent."""
        earning = self.program["earning"]
        weights = [self._weight(line) for line in self.ask.lines]
        if any(weight != 100 for weight in weights):
            self.rules.append(Rule("earning.multipliers"))
        left = [
            0 if is_of(line, earning.get("excluded", {})) else weight
            for line, weight in zip(self.ask.lines, weights, strict=True)
        ]
        if left != weights:
            self.rules.append(Rule("earning.excluded"))
        return left

    def _weight(self, line: Line) -> int:
        multipliers = self.program["earning"].get("multipliers", [])
        for kind, text in (("sku", line.sku), ("brand", line.brand), ("category", line.category)):
            for multiplier in multipliers:
                if multiplier.get(kind) == text:
                    return multiplier["multiplier_percent"]
        return 100

    def _rate(self, paid_minor: int) -> RateDocument:
        earning = self.program["earning"]
        for rate in earning.get("segments", ()):
            if self._is_in(rate["segment"]):
                return rate
        reached = [band for band in earning.get("bands", ()) if band["from_minor"] <= paid_minor]
        if not reached:
            return earning
        band = max(reached, key=lambda each: each["from_minor"])
        return {"points_per_step": band["points_per_step"], "step_minor": earning["step_minor"]}

    def _points(self, rate: RateDocument, minor: Fraction) -> int:
        if "cashback_basis_points" in rate:
            return rounded(minor * rate["cashback_basis_points"] / 10_000, self.rounding)
        return rounded(minor / rate["step_minor"], self.rounding) * rate["points_per_step"]


def is_of(line: Line, goods: GoodsDocument) -> bool:
    return (
        line.sku in goods.get("skus", ())
        or line.brand in goods.get("brands", ())
        or line.category in goods.get("categories", ())
    )


def point_minor(program: ProgramDocument) -> Fraction:
    """What a point is worth, in minor units."""
    redemption = program.get("redemption", _NO_REDEMPTION)
    return Fraction(redemption["value_minor"], redemption["value_points"])


def insufficient(member: Member, wanted: int) -> Refused:
    wallet = member.wallet
    return Refused(
        "INSUFFICIENT_POINTS",
        balance_points=wallet.balance_points,
        available_points=wallet.available_points,
        redeem_points=wanted,
    )


def added(first: Iterable[int], second: Iterable[int]) -> list[int]:
    return [a + b for a, b in zip(first, second, strict=True)]


def less(first: Iterable[int], second: Iterable[int]) -> list[int]:
    return [a - b for a, b in zip(first, second, strict=True)]
