"""The sections of a program's document, as the operator writes them: validated, in plain values.

What is not required may be left out; `program_from_document` says what holds then.
"""

from typing import Literal, NotRequired, TypedDict


class GoodsDocument(TypedDict):
    """Goods by any of these."""

    categories: NotRequired[list[str]]
    brands: NotRequired[list[str]]
    skus: NotRequired[list[str]]


class RateDocument(TypedDict):
    """Either points for every step of money, or cashback in hundredths of a per cent."""

    points_per_step: NotRequired[int]
    step_minor: NotRequired[int]
    cashback_basis_points: NotRequired[int]


class BandDocument(TypedDict):
    """The rate of receipts that are paid with at least `from_minor`."""

    from_minor: int
    points_per_step: int


class SegmentRateDocument(RateDocument):
    """The rate of a segment."""

    segment: str


class MultiplierDocument(TypedDict):
    """What a category, a brand or a SKU (one of them) counts for."""

    category: NotRequired[str]
    brand: NotRequired[str]
    sku: NotRequired[str]
    multiplier_percent: int


class EarningDocument(RateDocument):
    """What a receipt earns."""

    rounding: str
    rounding_scope: str
    bands: NotRequired[list[BandDocument]]
    segments: NotRequired[list[SegmentRateDocument]]
    multipliers: NotRequired[list[MultiplierDocument]]
    excluded: NotRequired[GoodsDocument]
    on_redeemed_part: NotRequired[bool]


class RedemptionDocument(TypedDict):
    """What points pay."""

    value_points: int
    value_minor: int
    minimum_points: int
    maximum_share_percent: int
    maximum_points_per_receipt: NotRequired[int]
    maximum_points_per_day: NotRequired[int]
    excluded: NotRequired[GoodsDocument]


class RewardDocument(TypedDict):
    """What points buy at once: a discount, a delivery or a product (one of them)."""

    id: str
    points: int
    discount_percent: NotRequired[int]
    delivery_category: NotRequired[str]
    product_sku: NotRequired[str]
    segments: NotRequired[list[str]]


class SegmentDiscountDocument(TypedDict):
    """The discount of a segment."""

    segment: str
    percent: int


class DiscountDocument(TypedDict):
    """The discount without points."""

    percent: NotRequired[int]
    segments: NotRequired[list[SegmentDiscountDocument]]
    excluded: NotRequired[GoodsDocument]
    combined_with_points: NotRequired[bool]
    combined_with_earning: NotRequired[bool]


class LevelDocument(TypedDict):
    """One tier."""

    name: str
    threshold: int
    multiplier_percent: NotRequired[int]
    discount_percent: NotRequired[int]


class TiersDocument(TypedDict):
    """How members rise and fall; `rolling_months` stands with that period only."""

    basis: str
    period: str
    rolling_months: NotRequired[int]
    downgrade: str
    levels: list[LevelDocument]


class ExpiryDocument(TypedDict):
    """One of `after_days`, `after_months` and `sliding_days`; `end_of` goes with the first two."""

    after_days: NotRequired[int]
    after_months: NotRequired[int]
    sliding_days: NotRequired[int]
    end_of: NotRequired[str]


class LotsDocument(TypedDict):
    """From when on earned points can be spent, and until when."""

    pending_days: NotRequired[int]
    expiry: NotRequired[ExpiryDocument]


class LimitDocument(TypedDict):
    """The most of what is named, in a period."""

    scope: str
    period: str
    operations: NotRequired[int]
    earned_points: NotRequired[int]
    redeemed_points: NotRequired[int]
    action: Literal["flag", "refuse"]


class HoldsDocument(TypedDict):
    """Bounds of holds."""

    default_seconds: NotRequired[int]
    maximum_seconds: NotRequired[int]
    open_max: NotRequired[int]


class ReturnsDocument(TypedDict):
    """What goods that come back do to points; `grace_days` goes with `restore`."""

    shortfall: NotRequired[str]
    expired_lots: NotRequired[Literal["restore", "lose"]]
    grace_days: NotRequired[int]


class OfflineDocument(TypedDict):
    """What a till may do without the service."""

    redeem_points_max: int
    shortfall: NotRequired[Literal["record", "allow_negative"]]


class MembersDocument(TypedDict):
    """How members come to be."""

    enrol_on_first_use: bool
