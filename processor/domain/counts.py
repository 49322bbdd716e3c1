"""What a batch adds to a chain's ledger, counted."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from processor.domain.operation import Operation

_NOTHING: Final = (0, 0, 0)


class RecordedCounts(NamedTuple):
    """What a batch adds to a chain's ledger, by (kind, outcome): operations, points issued and redeemed."""

    chain: str
    sums: dict[tuple[int, int], tuple[int, int, int]]


def recorded_counts(chain: str, operations: Sequence[Operation]) -> RecordedCounts:
    """Count the rows of a batch that are one chain's."""
    sums: dict[tuple[int, int], tuple[int, int, int]] = {}
    for row in operations:
        of_what = row.kind, row.outcome
        count, issued_points, redeemed_points = sums.get(of_what, _NOTHING)
        sums[of_what] = count + 1, issued_points + row.earned_points, redeemed_points + row.redeemed_points
    return RecordedCounts(chain, sums)
