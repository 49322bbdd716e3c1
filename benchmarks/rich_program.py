"""A program with every kind of rule that a sale goes through, as large chains have."""

from typing import Final

from processor.domain.program_document import ProgramDocument

CATEGORIES: Final = ("wine", "dairy", "bakery", "tobacco", "household", "")
BRANDS: Final = ("acme", "zenith", "")

RICH_PROGRAM: Final[ProgramDocument] = {
    "timezone": "Europe/Berlin",
    "earning": {
        "points_per_step": 1,
        "step_minor": 100,
        "rounding": "half_up",
        "rounding_scope": "receipt",
        "bands": [{"from_minor": 10_000, "points_per_step": 2}],
        "multipliers": [
            {"category": "wine", "multiplier_percent": 200},
            {"brand": "acme", "multiplier_percent": 150},
        ],
        "excluded": {"categories": ["tobacco"]},
    },
    "redemption": {
        "value_points": 1,
        "value_minor": 1,
        "minimum_points": 1,
        "maximum_share_percent": 50,
        "maximum_points_per_day": 1_000_000,
    },
    "discount": {"percent": 1},
    "tiers": {
        "basis": "earned_points",
        "period": "calendar_year",
        "downgrade": "period_end",
        "levels": [
            {"name": "bronze", "threshold": 1_000, "multiplier_percent": 110, "discount_percent": 2},
            {"name": "silver", "threshold": 5_000, "multiplier_percent": 125, "discount_percent": 3},
            {"name": "gold", "threshold": 15_000, "multiplier_percent": 150, "discount_percent": 4},
        ],
    },
    "lots": {"expiry": {"after_months": 12, "end_of": "month"}},
    "limits": [
        {"scope": "member", "period": "day", "operations": 1_000_000, "action": "refuse"},
    ],
}
