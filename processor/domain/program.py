"""A chain's rules as plain data."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple


class Rounding(StrEnum):
    """What becomes of a part of a step."""

    DOWN = "down"
    HALF_UP = "half_up"
    HALF_EVEN = "half_even"


class RoundingScope(StrEnum):
    """What is rounded: the receipt as a whole, or each line by itself."""

    RECEIPT = "receipt"
    LINE = "line"


class Goods(NamedTuple):
    """Some goods, by any of these."""

    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()


class Rate(NamedTuple):
    """`points_per_step` points for every `step_minor`; only whole steps count unless it is `proportional`."""

    points_per_step: int
    step_minor: int
    proportional: bool = False


class Band(NamedTuple):
    """A receipt that is paid with at least `from_minor` earns by this rate, all of it."""

    from_minor: int
    points_per_step: int


class SegmentRate(NamedTuple):
    """Members of the segment earn by this rate."""

    segment: str
    rate: Rate


class Multipliers(NamedTuple):
    """What goods count for, in per cent: by SKU, else by brand, else by category, else 100."""

    by_sku: dict[str, int]
    by_brand: dict[str, int]
    by_category: dict[str, int]


class EarningRules(NamedTuple):
    """What goes beyond one rate for all. `bands` ascend; of `segments` the first that applies counts."""

    cashback: bool = False
    bands: tuple[Band, ...] = ()
    segments: tuple[SegmentRate, ...] = ()
    multipliers: Multipliers | None = None
    excluded: Goods | None = None
    on_redeemed_part: bool = False


class PaymentRules(NamedTuple):
    """What goes beyond minimum and share; 0 is no bound."""

    receipt_points_max: int = 0
    day_points_max: int = 0
    excluded: Goods | None = None


class RewardKind(StrEnum):
    """What a reward takes off the receipt."""

    DISCOUNT = "discount"
    DELIVERY = "delivery"
    PRODUCT = "product"


class Reward(NamedTuple):
    """Points for a per-cent discount, for the lines of a category (delivery), or for one piece of a product.

    `segments` is empty if it is for everybody.
    """

    reward_id: str
    points: int
    kind: RewardKind
    discount_percent: int = 0
    category: str = ""
    sku: str = ""
    segments: frozenset[str] = frozenset()


class SegmentDiscount(NamedTuple):
    """Members of the segment get this discount."""

    segment: str
    percent: int


class DiscountRules(NamedTuple):
    """A discount without points: the largest of the direct one, the segments' and the tier's.

    Where it is not combined with points or with earning, a receipt that uses points gets no discount, and one
    with a discount earns nothing.
    """

    percent: int = 0
    segments: tuple[SegmentDiscount, ...] = ()
    excluded: Goods | None = None
    combined_with_points: bool = True
    combined_with_earning: bool = True


class TierBasis(StrEnum):
    """What is counted towards a tier."""

    EARNED_POINTS = "earned_points"
    SPENT_MINOR = "spent_minor"


class TierPeriod(StrEnum):
    """Over what time it is counted."""

    LIFE = "life"
    CALENDAR_YEAR = "calendar_year"
    CALENDAR_QUARTER = "calendar_quarter"
    CALENDAR_MONTH = "calendar_month"
    ROLLING_MONTHS = "rolling_months"


class Downgrade(StrEnum):
    """What happens when a period (with rolling months: a month) ends and less was reached."""

    NEVER = "never"
    PERIOD_END = "period_end"
    ONE_STEP = "one_step"


class TierLevel(NamedTuple):
    """A tier: from `threshold` on, with what it multiplies earning by and takes off receipts."""

    name: str
    threshold: int
    multiplier_percent: int = 100
    discount_percent: int = 0


class TierRules(NamedTuple):
    """Levels ascend by threshold; level 0 is below the first of them.

    They have been these since `since_month` (year x 12 + month, from 0).
    """

    basis: TierBasis
    period: TierPeriod
    rolling_months: int
    downgrade: Downgrade
    levels: tuple[TierLevel, ...]
    since_month: int = 0


class ExpiryEnd(StrEnum):
    """To the end of what an expiry is put off."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


class LotRules(NamedTuple):
    """When earned points can be spent, and how long.

    Points are pending for `pending_days`. They expire after `after_days` or `after_months` (None: the other
    one, or never) at the end of that day, month or year; or all together `sliding_days` after the member's
    last sale (0: not so).
    """

    pending_days: int = 0
    after_days: int | None = None
    after_months: int | None = None
    end_of: ExpiryEnd = ExpiryEnd.DAY
    sliding_days: int = 0


class LimitScope(StrEnum):
    """Whose operations are counted."""

    CARD = "card"
    MEMBER = "member"
    TERMINAL = "terminal"
    STORE = "store"


class LimitPeriod(StrEnum):
    """The hour (UTC) or the chain's day in which they are counted."""

    HOUR = "hour"
    DAY = "day"


class Limit(NamedTuple):
    """The most of each in a period (0: no bound). A soft one only flags what exceeds it, others refuse it."""

    scope: LimitScope
    period: LimitPeriod
    operations: int
    earned_points: int
    redeemed_points: int
    soft: bool


class HoldRules(NamedTuple):
    """How long a hold lasts if the till does not say, at most, and how many may be open."""

    default_seconds: int = 86_400
    maximum_seconds: int = 30 * 86_400
    open_max: int = 10


class ShortfallPolicy(StrEnum):
    """What happens when points are to be clawed back that are already spent."""

    ALLOW_NEGATIVE = "allow_negative"
    STOP_AT_ZERO = "stop_at_zero"
    REDUCE_REFUND = "reduce_refund"
    PENDING_ONLY = "pending_only"


class ReturnRules(NamedTuple):
    """Points that come back into an expired lot live for `grace_days`; if None, they are lost."""

    shortfall: ShortfallPolicy = ShortfallPolicy.STOP_AT_ZERO
    grace_days: int | None = None


class OfflineRules(NamedTuple):
    """The most points that a sale may redeem offline, and whether a shortfall becomes a debt."""

    redeem_points_max: int = 0
    allow_negative: bool = False


class Program(NamedTuple):
    """One version of a chain's rules.

    A receipt earns `points_per_step` for every `step_minor` paid with money, in whole steps after rounding.
    `value_points` points pay `value_minor` minor units. Points may pay at most `maximum_share_percent` of a
    receipt, and at least `minimum_points` are redeemed at once. What follows has no effect unless it is set;
    `steps` are the rules that a sale goes through, in order, and empty for a program that has none of them.
    """

    version: int
    effective_from_us: int
    points_per_step: int
    step_minor: int
    rounding: Rounding
    rounding_scope: RoundingScope
    value_points: int
    value_minor: int
    minimum_points: int
    maximum_share_percent: int
    timezone: str = "UTC"
    earning: EarningRules = EarningRules()
    payment: PaymentRules = PaymentRules()
    rewards: tuple[Reward, ...] = ()
    discount: DiscountRules | None = None
    tiers: TierRules | None = None
    lots: LotRules | None = None
    limits: tuple[Limit, ...] = ()
    holds: HoldRules = HoldRules()
    returns: ReturnRules = ReturnRules()
    offline: OfflineRules = OfflineRules()
    enrols: bool = False
    steps: tuple[Callable[[Any], None], ...] = ()


def program_in_force(programs: tuple[Program, ...], at_us: int) -> Program:
    """Return the one of `programs` (ascending by version) that became effective last at `at_us`.

    Of two with the same time it is the newer. The first version is in force before its time too: a chain is
    never without rules.
    """
    effective = [program for program in programs if program.effective_from_us <= at_us]
    return max(effective, key=_precedence) if effective else programs[0]


def _precedence(program: Program) -> tuple[int, int]:
    return program.effective_from_us, program.version
