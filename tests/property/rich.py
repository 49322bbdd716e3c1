"""Generators of programs with every rule, and of what members do under them."""

from typing import Final

from hypothesis import strategies as st

from processor.domain.command import NO_RECEIPT, Command, Kind, LineItem, Receipt, ReturnedLine
from processor.domain.program import (
    Band,
    DiscountRules,
    Downgrade,
    EarningRules,
    ExpiryEnd,
    Goods,
    Limit,
    LimitPeriod,
    LimitScope,
    LotRules,
    Multipliers,
    OfflineRules,
    PaymentRules,
    Program,
    Rate,
    ReturnRules,
    Reward,
    RewardKind,
    Rounding,
    RoundingScope,
    SegmentDiscount,
    SegmentRate,
    ShortfallPolicy,
    TierBasis,
    TierLevel,
    TierPeriod,
    TierRules,
)
from processor.domain.rules import steps_for

CATEGORIES: Final = ("wine", "food", "tobacco", "delivery")
BRANDS: Final = ("", "acme", "zenith")
SKUS: Final = ("sku-1", "sku-2", "sku-3")
REWARD_IDS: Final = ("ten", "delivery", "mug")

_earnings: Final = st.builds(
    EarningRules,
    cashback=st.booleans(),
    bands=st.sampled_from([(), (Band(5_000, 2), Band(20_000, 3))]),
    segments=st.sampled_from([(), (SegmentRate("staff", Rate(2, 50)),)]),
    multipliers=st.sampled_from([None, Multipliers({"sku-1": 300}, {"acme": 150}, {"wine": 200})]),
    excluded=st.sampled_from([None, Goods(frozenset({"tobacco"}), frozenset(), frozenset())]),
    on_redeemed_part=st.booleans(),
)
_payments: Final = st.builds(
    PaymentRules,
    receipt_points_max=st.sampled_from([0, 300]),
    day_points_max=st.sampled_from([0, 500]),
    excluded=st.sampled_from([None, Goods(frozenset(), frozenset({"zenith"}), frozenset())]),
)
_rewards: Final = (
    Reward("ten", 20, RewardKind.DISCOUNT, discount_percent=10),
    Reward("delivery", 15, RewardKind.DELIVERY, category="delivery"),
    Reward("mug", 30, RewardKind.PRODUCT, sku="sku-3", segments=frozenset({"staff"})),
)
_discounts: Final = st.none() | st.builds(
    DiscountRules,
    percent=st.sampled_from([0, 3]),
    segments=st.sampled_from([(), (SegmentDiscount("staff", 10),)]),
    excluded=st.sampled_from([None, Goods(frozenset({"tobacco"}), frozenset(), frozenset())]),
    combined_with_points=st.booleans(),
    combined_with_earning=st.booleans(),
)
_tiers: Final = st.none() | st.builds(
    TierRules,
    basis=st.sampled_from(TierBasis),
    period=st.sampled_from(TierPeriod),
    rolling_months=st.sampled_from([1, 12]),
    downgrade=st.sampled_from(Downgrade),
    levels=st.just((TierLevel("bronze", 200, 110, 6), TierLevel("silver", 2_000, 150, 9))),
)
_lots: Final = st.sampled_from(
    [
        LotRules(),
        LotRules(pending_days=3),
        LotRules(after_days=5),
        LotRules(pending_days=3, after_days=40),
        LotRules(after_days=0, end_of=ExpiryEnd.YEAR),
        LotRules(after_months=0, end_of=ExpiryEnd.MONTH),
        LotRules(pending_days=3, after_months=2),
        LotRules(sliding_days=10),
        LotRules(pending_days=3, sliding_days=10),
    ]
)
_limits: Final = st.lists(
    st.builds(
        Limit,
        scope=st.sampled_from(LimitScope),
        period=st.sampled_from(LimitPeriod),
        operations=st.sampled_from([0, 3]),
        earned_points=st.sampled_from([0, 400]),
        redeemed_points=st.sampled_from([200]),
        soft=st.booleans(),
    ),
    max_size=2,
).map(tuple)


@st.composite
def rich_programs(draw: st.DrawFn) -> Program:
    """Programs with any of the rules."""
    program = Program(
        version=1,
        effective_from_us=0,
        points_per_step=draw(st.sampled_from([1, 7])),
        step_minor=draw(st.sampled_from([1, 100, 333])),
        rounding=draw(st.sampled_from(Rounding)),
        rounding_scope=draw(st.sampled_from(RoundingScope)),
        value_points=draw(st.sampled_from([1, 3])),
        value_minor=draw(st.sampled_from([1, 100])),
        minimum_points=draw(st.sampled_from([3, 10])),
        maximum_share_percent=draw(st.sampled_from([50, 100])),
        timezone=draw(st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"])),
        earning=draw(_earnings),
        payment=draw(_payments),
        rewards=draw(st.sampled_from([(), _rewards])),
        discount=draw(_discounts),
        tiers=draw(_tiers),
        lots=draw(st.none() | _lots),
        limits=draw(_limits),
        returns=draw(
            st.builds(
                ReturnRules, shortfall=st.sampled_from(ShortfallPolicy), grace_days=st.sampled_from([None, 7])
            )
        ),
        offline=draw(
            st.builds(OfflineRules, redeem_points_max=st.sampled_from([0, 250]), allow_negative=st.booleans())
        ),
    )
    return program._replace(steps=steps_for(program))


lines: Final = st.builds(
    LineItem,
    sku=st.sampled_from(SKUS),
    quantity_milli=st.sampled_from([1_000, 2_000, 1_500, 7]),
    amount_minor=st.integers(0, 9_999),
    category=st.sampled_from(CATEGORIES),
    brand=st.sampled_from(BRANDS),
)


@st.composite
def rich_receipts(draw: st.DrawFn) -> Receipt:
    """Receipts of a few lines, or without."""
    items = draw(st.lists(lines, max_size=4))
    total_minor = sum(item.amount_minor for item in items)
    if not total_minor:
        return Receipt("receipt", draw(st.integers(1, 30_000)), ())
    return Receipt("receipt", total_minor, tuple(items))


class Intent:
    """What somebody does next; keys and originals are filled in by the one who plays it."""

    def __init__(self, command: Command, days: int, original: int) -> None:
        self.command = command
        self.days = days
        self.original = original

    def __repr__(self) -> str:
        return f"after {self.days} days: {self.command} of {self.original}"


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    """Any kind of call, some days after the one before; `original` counts back from the newest."""
    kind = draw(
        st.sampled_from(
            [
                Kind.ACCRUE,
                Kind.ACCRUE,
                Kind.CHECKOUT,
                Kind.CHECKOUT,
                Kind.REDEEM,
                Kind.HOLD,
                Kind.CAPTURE,
                Kind.VOID,
                Kind.REVERSE,
                Kind.RETURN,
                Kind.ADJUST,
            ]
        )
    )
    is_sale = kind in (Kind.ACCRUE, Kind.CHECKOUT, Kind.REDEEM)
    points = {
        Kind.HOLD: st.integers(1, 200),
        Kind.CAPTURE: st.integers(0, 200),
        Kind.ADJUST: st.integers(-200, 400).filter(bool),
    }
    command = Command(
        kind,
        "",
        1,
        "",
        0,
        draw(st.sampled_from(["store-1", "store-2"])),
        "till",
        draw(rich_receipts()) if is_sale else NO_RECEIPT,
        draw(st.integers(1 if kind is Kind.REDEEM else 0, 300)) if is_sale and kind is not Kind.ACCRUE else 0,
        offline=is_sale and draw(st.integers(0, 5)) == 0,
        reward_ids=tuple(draw(st.sets(st.sampled_from(REWARD_IDS), max_size=2)))
        if kind is Kind.CHECKOUT
        else (),
        returned=(ReturnedLine(draw(st.integers(1, 3)), draw(st.sampled_from([1, 500, 1_000]))),)
        if kind is Kind.RETURN
        else (),
        points=draw(points[kind]) if kind in points else 0,
        reason="SURVEY" if kind is Kind.ADJUST else "",
    )
    return Intent(command, draw(st.sampled_from([0, 0, 0, 1, 4, 35])), draw(st.integers(1, 4)))
