"""A program as the document that an operator writes and the directory stores."""

from typing import Final, Literal, NotRequired, TypedDict

from processor.domain.calendar import month_of
from processor.domain.program import (
    Band,
    DiscountRules,
    Downgrade,
    EarningRules,
    ExpiryEnd,
    Goods,
    HoldRules,
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
from processor.domain.program_sections import (
    DiscountDocument,
    EarningDocument,
    ExpiryDocument,
    GoodsDocument,
    HoldsDocument,
    LimitDocument,
    LotsDocument,
    MembersDocument,
    MultiplierDocument,
    OfflineDocument,
    RateDocument,
    RedemptionDocument,
    ReturnsDocument,
    RewardDocument,
    TiersDocument,
)
from processor.domain.rules import steps_for


class ProgramDocument(TypedDict):
    """The whole document, validated; its version and its time stand beside it.

    Without `redemption`, points are only earned.
    """

    timezone: NotRequired[str]
    earning: EarningDocument
    redemption: NotRequired[RedemptionDocument]
    rewards: NotRequired[list[RewardDocument]]
    discount: NotRequired[DiscountDocument]
    tiers: NotRequired[TiersDocument]
    lots: NotRequired[LotsDocument]
    limits: NotRequired[list[LimitDocument]]
    holds: NotRequired[HoldsDocument]
    returns: NotRequired[ReturnsDocument]
    offline: NotRequired[OfflineDocument]
    members: NotRequired[MembersDocument]


_NO_REDEMPTION: Final[RedemptionDocument] = {
    "value_points": 1,
    "value_minor": 1,
    "minimum_points": 1,
    "maximum_share_percent": 0,
}
# A basis point is a hundredth of a per cent.
_BASIS_POINTS_OF_ALL: Final = 10_000
# The kinds of goods, in the order of `Multipliers`.
_MULTIPLIED: Final[tuple[Literal["sku"], Literal["brand"], Literal["category"]]] = (
    "sku",
    "brand",
    "category",
)

# Version 1 of every chain: a point for each 100.00 paid, worth 1.00, for at most half of a receipt.
DEFAULT_PROGRAM: Final[ProgramDocument] = {
    "earning": {
        "points_per_step": 1,
        "step_minor": 10_000,
        "rounding": "down",
        "rounding_scope": "receipt",
    },
    "redemption": {
        "value_points": 1,
        "value_minor": 100,
        "minimum_points": 1,
        "maximum_share_percent": 50,
    },
}


def program_from_document(version: int, effective_from_us: int, document: ProgramDocument) -> Program:
    """The rules that a validated document describes."""
    earning = document["earning"]
    redemption = document.get("redemption", _NO_REDEMPTION)
    rate = _rate(earning)
    timezone = document.get("timezone", "UTC")
    since_month = month_of(effective_from_us, timezone)
    program = Program(
        version=version,
        effective_from_us=effective_from_us,
        points_per_step=rate.points_per_step,
        step_minor=rate.step_minor,
        rounding=Rounding(earning["rounding"]),
        rounding_scope=RoundingScope(earning["rounding_scope"]),
        value_points=redemption["value_points"],
        value_minor=redemption["value_minor"],
        minimum_points=redemption["minimum_points"],
        maximum_share_percent=redemption["maximum_share_percent"],
        timezone=timezone,
        earning=_earning(earning),
        payment=_payment(redemption),
        rewards=tuple(map(_reward, document.get("rewards", ()))),
        discount=_discount(document),
        tiers=_tiers(document["tiers"], since_month) if "tiers" in document else None,
        lots=_lots(document["lots"]) if "lots" in document else None,
        limits=tuple(map(_limit, document.get("limits", ()))),
        holds=HoldRules(**document.get("holds", {})),
        returns=_returns(document.get("returns", {})),
        offline=_offline(document["offline"]) if "offline" in document else OfflineRules(),
        enrols="members" in document and document["members"]["enrol_on_first_use"],
    )
    return program._replace(steps=steps_for(program))


def _rate(document: RateDocument) -> Rate:
    basis_points = document.get("cashback_basis_points")
    if basis_points is not None:
        return Rate(basis_points, _BASIS_POINTS_OF_ALL, proportional=True)
    return Rate(document["points_per_step"], document["step_minor"])


def _earning(document: EarningDocument) -> EarningRules:
    multipliers = document.get("multipliers")
    return EarningRules(
        cashback="cashback_basis_points" in document,
        bands=tuple(Band(band["from_minor"], band["points_per_step"]) for band in document.get("bands", ())),
        segments=tuple(SegmentRate(each["segment"], _rate(each)) for each in document.get("segments", ())),
        multipliers=_multipliers(multipliers) if multipliers else None,
        excluded=_goods(document.get("excluded")),
        on_redeemed_part=document.get("on_redeemed_part", False),
    )


def _multipliers(documents: list[MultiplierDocument]) -> Multipliers:
    percents: list[dict[str, int]] = [
        {str(each[kind]): each["multiplier_percent"] for each in documents if kind in each}
        for kind in _MULTIPLIED
    ]
    return Multipliers(*percents)


def _goods(document: GoodsDocument | None) -> Goods | None:
    if document is None:
        return None
    categories, brands = document.get("categories", ()), document.get("brands", ())
    return Goods(frozenset(categories), frozenset(brands), frozenset(document.get("skus", ())))


def _payment(document: RedemptionDocument) -> PaymentRules:
    return PaymentRules(
        document.get("maximum_points_per_receipt", 0),
        document.get("maximum_points_per_day", 0),
        _goods(document.get("excluded")),
    )


def _reward(document: RewardDocument) -> Reward:
    kind = RewardKind.PRODUCT
    if "discount_percent" in document:
        kind = RewardKind.DISCOUNT
    elif "delivery_category" in document:
        kind = RewardKind.DELIVERY
    return Reward(
        document["id"],
        document["points"],
        kind,
        document.get("discount_percent", 0),
        document.get("delivery_category", ""),
        document.get("product_sku", ""),
        frozenset(document.get("segments", ())),
    )


def _discount(document: ProgramDocument) -> DiscountRules | None:
    """Tiers with discounts need no section of their own."""
    if "discount" not in document:
        levels = document["tiers"]["levels"] if "tiers" in document else []
        return DiscountRules() if any("discount_percent" in level for level in levels) else None
    discount = document["discount"]
    segments = discount.get("segments", ())
    return DiscountRules(
        discount.get("percent", 0),
        tuple(SegmentDiscount(each["segment"], each["percent"]) for each in segments),
        _goods(discount.get("excluded")),
        discount.get("combined_with_points", True),
        discount.get("combined_with_earning", True),
    )


def _tiers(document: TiersDocument, since_month: int) -> TierRules:
    return TierRules(
        TierBasis(document["basis"]),
        TierPeriod(document["period"]),
        document.get("rolling_months", 0),
        Downgrade(document["downgrade"]),
        tuple(TierLevel(**level) for level in document["levels"]),
        since_month,
    )


def _lots(document: LotsDocument) -> LotRules:
    expiry: ExpiryDocument = document.get("expiry", {})
    return LotRules(
        document.get("pending_days", 0),
        expiry.get("after_days"),
        expiry.get("after_months"),
        ExpiryEnd(expiry.get("end_of", "day")),
        expiry.get("sliding_days", 0),
    )


def _limit(document: LimitDocument) -> Limit:
    return Limit(
        LimitScope(document["scope"]),
        LimitPeriod(document["period"]),
        document.get("operations", 0),
        document.get("earned_points", 0),
        document.get("redeemed_points", 0),
        soft=document["action"] == "flag",
    )


def _returns(document: ReturnsDocument) -> ReturnRules:
    shortfall = ShortfallPolicy(document.get("shortfall", ReturnRules().shortfall))
    return ReturnRules(shortfall, document.get("grace_days"))


def _offline(document: OfflineDocument) -> OfflineRules:
    return OfflineRules(document["redeem_points_max"], document.get("shortfall") == "allow_negative")
