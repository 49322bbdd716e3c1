"""The rules of the replay's chain, as the recomputation knows them: program.yaml and docs/replay.md."""

from typing import Final

# A point for each 1.00 paid with money, every line rounded half up by itself.
POINTS_PER_STEP: Final = 1
STEP_MINOR: Final = 100

# A point pays one minor unit: 50 points or more at once, at most half of a receipt.
MINIMUM_POINTS: Final = 50
MAXIMUM_SHARE_PERCENT: Final = 50

# More than the year that the receipts span.
WINDOW_BACK_DAYS: Final = 400


def limit_points(total_minor: int) -> int:
    """The most points that a receipt takes."""
    return total_minor * MAXIMUM_SHARE_PERCENT // 100
