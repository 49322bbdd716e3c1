"""What a document becomes, and which version of a chain's program is in force."""

from pathlib import Path

import pytest

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
    program_in_force,
)
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument, program_from_document
from processor.program_file import parse_program

RICH = Path(__file__).parents[2] / "docs" / "program-rich.yaml"
TOBACCO = frozenset({"tobacco"})
NOT_DISCOUNTED = frozenset({"tobacco", "gift-cards"})


@pytest.mark.parametrize(
    "effective_from_us, versions_at",
    [
        ([100], {0: 1, 100: 1, 101: 1}),
        ([100, 200], {199: 1, 200: 2}),
        ([100, 300, 200], {199: 1, 200: 3, 299: 3, 300: 2, 10_000: 2}),
        ([100, 300, 300], {299: 1, 300: 3}),
    ],
)
def test_the_latest_whose_time_has_come_decides(
    effective_from_us: list[int], versions_at: dict[int, int]
) -> None:
    programs = tuple(
        program_from_document(version, since_us, DEFAULT_PROGRAM)
        for version, since_us in enumerate(effective_from_us, start=1)
    )
    assert {at_us: program_in_force(programs, at_us).version for at_us in versions_at} == versions_at


def test_a_rich_document_becomes_the_rules() -> None:
    program = program_from_document(2, 7, parse_program(RICH.read_text()).document)
    assert program._replace(steps=()) == Program(
        version=2,
        effective_from_us=7,
        points_per_step=1,
        step_minor=100,
        rounding=Rounding.HALF_UP,
        rounding_scope=RoundingScope.LINE,
        value_points=1,
        value_minor=1,
        minimum_points=100,
        maximum_share_percent=50,
        timezone="Europe/Berlin",
        earning=EarningRules(
            bands=(Band(10_000, 2), Band(50_000, 3)),
            segments=(SegmentRate("staff", Rate(1, 1000)),),
            multipliers=Multipliers({"4006381333931": 500}, {"acme": 150}, {"wine": 200}),
            excluded=Goods(NOT_DISCOUNTED),
        ),
        payment=PaymentRules(20_000, 30_000, Goods(TOBACCO)),
        rewards=(
            Reward("ten-percent", 1000, RewardKind.DISCOUNT, discount_percent=10),
            Reward("staff-twenty", 1000, RewardKind.DISCOUNT, 20, segments=frozenset({"staff"})),
            Reward("free-delivery", 500, RewardKind.DELIVERY, category="delivery"),
            Reward("mug", 800, RewardKind.PRODUCT, sku="mug-1"),
        ),
        discount=DiscountRules(1, (SegmentDiscount("staff", 10),), Goods(NOT_DISCOUNTED)),
        tiers=TierRules(
            TierBasis.EARNED_POINTS,
            TierPeriod.ROLLING_MONTHS,
            12,
            Downgrade.ONE_STEP,
            (
                TierLevel("bronze", 1000, discount_percent=6),
                TierLevel("silver", 5000, 125, 9),
                TierLevel("gold", 15_000, 150, 12),
            ),
            since_month=1970 * 12,
        ),
        lots=LotRules(14, after_months=12, end_of=ExpiryEnd.MONTH),
        limits=(
            Limit(LimitScope.CARD, LimitPeriod.HOUR, 10, 0, 0, soft=True),
            Limit(LimitScope.MEMBER, LimitPeriod.DAY, 50, 5000, 0, soft=False),
            Limit(LimitScope.TERMINAL, LimitPeriod.HOUR, 600, 0, 0, soft=False),
            Limit(LimitScope.STORE, LimitPeriod.DAY, 0, 0, 1_000_000, soft=True),
        ),
        holds=HoldRules(86_400, 604_800, 5),
        returns=ReturnRules(ShortfallPolicy.REDUCE_REFUND, grace_days=30),
        offline=OfflineRules(500),
        enrols=True,
    )


def test_cashback_is_a_rate_of_hundredths_of_a_per_cent() -> None:
    document: ProgramDocument = {
        "earning": {
            "cashback_basis_points": 250,
            "rounding": "down",
            "rounding_scope": "receipt",
            "segments": [{"segment": "staff", "cashback_basis_points": 500}],
        }
    }
    program = program_from_document(1, 0, document)
    assert (program.points_per_step, program.step_minor) == (250, 10_000)
    staff = SegmentRate("staff", Rate(500, 10_000, proportional=True))
    assert program.earning == EarningRules(cashback=True, segments=(staff,))


def test_tiers_with_discounts_need_no_section_of_their_own() -> None:
    document: ProgramDocument = {
        **DEFAULT_PROGRAM,
        "tiers": {
            "basis": "spent_minor",
            "period": "life",
            "downgrade": "never",
            "levels": [{"name": "gold", "threshold": 1, "discount_percent": 5}],
        },
    }
    assert program_from_document(1, 0, document).discount == DiscountRules()


def test_what_is_left_out_has_no_effect() -> None:
    program = program_from_document(1, 0, DEFAULT_PROGRAM)
    assert program == Program(*program[:10])
