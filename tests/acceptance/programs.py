"""The programs under which the model test plays: plain ones, and some with every rule."""

import time
from typing import Final

from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from tests.acceptance.reckoning.chain import Version

REWARDS: Final = ("ten", "staff-half", "delivery", "mug", "no such reward")
_CHANGED_DAYS_AGO: Final = 40

_PLAIN: Final[tuple[ProgramDocument, ...]] = (
    DEFAULT_PROGRAM,
    {
        "earning": {"points_per_step": 3, "step_minor": 70, "rounding": "half_up", "rounding_scope": "line"},
        "redemption": {"value_points": 3, "value_minor": 7, "minimum_points": 2, "maximum_share_percent": 30},
    },
    {
        "earning": {
            "points_per_step": 100,
            "step_minor": 1_000,
            "rounding": "half_even",
            "rounding_scope": "receipt",
        },
        "redemption": {
            "value_points": 10,
            "value_minor": 1,
            "minimum_points": 90,
            "maximum_share_percent": 100,
        },
    },
    {
        "earning": {
            "points_per_step": 999_999,
            "step_minor": 1,
            "rounding": "down",
            "rounding_scope": "line",
        },
        "redemption": {
            "value_points": 1,
            "value_minor": 1,
            "minimum_points": 1,
            "maximum_share_percent": 100,
        },
    },
)

_RICH: Final[tuple[ProgramDocument, ...]] = (
    {
        "timezone": "Europe/Berlin",
        "earning": {
            "points_per_step": 1,
            "step_minor": 100,
            "rounding": "half_up",
            "rounding_scope": "receipt",
            "bands": [
                {"from_minor": 2_000, "points_per_step": 2},
                {"from_minor": 90_000, "points_per_step": 3},
            ],
            "segments": [{"segment": "staff", "points_per_step": 5, "step_minor": 300}],
            "multipliers": [
                {"category": "wine", "multiplier_percent": 200},
                {"brand": "acme", "multiplier_percent": 150},
                {"sku": "sku-2", "multiplier_percent": 333},
            ],
            "excluded": {"categories": ["tobacco"]},
        },
        "redemption": {
            "value_points": 3,
            "value_minor": 2,
            "minimum_points": 5,
            "maximum_share_percent": 60,
            "maximum_points_per_receipt": 2_000,
            "maximum_points_per_day": 3_000,
            "excluded": {"brands": ["zenith"]},
        },
        "rewards": [
            {"id": "ten", "points": 20, "discount_percent": 10},
            {"id": "staff-half", "points": 30, "discount_percent": 50, "segments": ["staff"]},
            {"id": "delivery", "points": 15, "delivery_category": "delivery"},
            {"id": "mug", "points": 25, "product_sku": "mug"},
        ],
        "discount": {
            "percent": 3,
            "segments": [{"segment": "staff", "percent": 7}],
            "excluded": {"categories": ["tobacco"]},
        },
        "tiers": {
            "basis": "earned_points",
            "period": "rolling_months",
            "rolling_months": 12,
            "downgrade": "one_step",
            "levels": [
                {"name": "bronze", "threshold": 50, "multiplier_percent": 110},
                {"name": "silver", "threshold": 1_000, "multiplier_percent": 150, "discount_percent": 9},
                {"name": "gold", "threshold": 100_000, "multiplier_percent": 333, "discount_percent": 15},
            ],
        },
        "lots": {"pending_days": 14, "expiry": {"after_months": 12, "end_of": "month"}},
        "limits": [
            {"scope": "card", "period": "hour", "operations": 2, "action": "flag"},
            {"scope": "member", "period": "day", "earned_points": 1_000_000_000, "action": "refuse"},
            {"scope": "store", "period": "day", "operations": 5, "redeemed_points": 100, "action": "flag"},
        ],
        "holds": {"default_seconds": 600, "maximum_seconds": 7_200, "open_max": 2},
        "returns": {"shortfall": "reduce_refund", "expired_lots": "restore", "grace_days": 30},
        "offline": {"redeem_points_max": 500, "shortfall": "record"},
        "members": {"enrol_on_first_use": True},
    },
    {
        "earning": {
            "cashback_basis_points": 250,
            "rounding": "half_even",
            "rounding_scope": "line",
            "segments": [{"segment": "staff", "cashback_basis_points": 777}],
            "on_redeemed_part": True,
        },
        "redemption": {
            "value_points": 1,
            "value_minor": 1,
            "minimum_points": 1,
            "maximum_share_percent": 100,
        },
        "rewards": [{"id": "ten", "points": 1, "discount_percent": 10}],
        "discount": {"percent": 5, "combined_with_points": False},
        "tiers": {
            "basis": "spent_minor",
            "period": "calendar_month",
            "downgrade": "never",
            "levels": [{"name": "friend", "threshold": 5_000, "discount_percent": 20}],
        },
        "lots": {"expiry": {"sliding_days": 30}},
        "limits": [
            {"scope": "member", "period": "hour", "operations": 8, "action": "refuse"},
            {"scope": "terminal", "period": "day", "earned_points": 3_000_000, "action": "refuse"},
        ],
        "returns": {"shortfall": "allow_negative"},
        "offline": {"redeem_points_max": 1_000, "shortfall": "allow_negative"},
    },
    {
        "timezone": "America/New_York",
        "earning": {
            "points_per_step": 2,
            "step_minor": 70,
            "rounding": "down",
            "rounding_scope": "line",
            "excluded": {"skus": ["mug"]},
        },
        "redemption": {
            "value_points": 1,
            "value_minor": 3,
            "minimum_points": 2,
            "maximum_share_percent": 50,
        },
        "rewards": [{"id": "mug", "points": 10, "product_sku": "mug"}],
        "discount": {"percent": 1, "combined_with_earning": False, "excluded": {"categories": ["wine"]}},
        "tiers": {
            "basis": "earned_points",
            "period": "life",
            "downgrade": "never",
            "levels": [{"name": "one", "threshold": 1, "multiplier_percent": 50}],
        },
        # What was sold offline longer ago has expired when it is sent.
        "lots": {"expiry": {"after_days": 10}},
        "limits": [{"scope": "card", "period": "day", "redeemed_points": 50, "action": "refuse"}],
        "returns": {"shortfall": "stop_at_zero", "expired_lots": "lose"},
        "offline": {"redeem_points_max": 50},
    },
    {
        "earning": {"points_per_step": 10, "step_minor": 99, "rounding": "half_up", "rounding_scope": "line"},
        "lots": {"pending_days": 2},
        "returns": {"shortfall": "pending_only"},
    },
)


def all_programs() -> list[list[Version]]:
    """The versions of each chain; the last chain's rules have changed since its oldest offline sales."""
    changed_us = time.time_ns() // 1_000 - _CHANGED_DAYS_AGO * 86_400 * 1_000_000
    changing = [Version(0, _PLAIN[1]), Version(changed_us, {**_RICH[0], "timezone": "UTC"})]
    return [*([Version(0, program)] for program in (*_PLAIN, *_RICH)), changing]
