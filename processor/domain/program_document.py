"""A program as the document that an operator writes and the directory stores."""

from typing import Final, NotRequired, TypedDict

from processor.domain.program import Program, Rounding, RoundingScope


class EarningDocument(TypedDict):
    """What a receipt earns."""

    points_per_step: int
    step_minor: int
    rounding: str
    rounding_scope: str


class RedemptionDocument(TypedDict):
    """What points pay."""

    value_points: int
    value_minor: int
    minimum_points: int
    maximum_share_percent: int


class ProgramDocument(TypedDict):
    """The whole document, validated; its version and its time stand beside it.

    Without `redemption`, points are only earned.
    """

    earning: EarningDocument
    redemption: NotRequired[RedemptionDocument]


_NO_REDEMPTION: Final[RedemptionDocument] = {
    "value_points": 1,
    "value_minor": 1,
    "minimum_points": 1,
    "maximum_share_percent": 0,
}

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
    return Program(
        version=version,
        effective_from_us=effective_from_us,
        points_per_step=earning["points_per_step"],
        step_minor=earning["step_minor"],
        rounding=Rounding(earning["rounding"]),
        rounding_scope=RoundingScope(earning["rounding_scope"]),
        value_points=redemption["value_points"],
        value_minor=redemption["value_minor"],
        minimum_points=redemption["minimum_points"],
        maximum_share_percent=redemption["maximum_share_percent"],
    )
