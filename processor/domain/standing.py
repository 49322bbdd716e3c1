"""Where a member stands after an operation: part of every answer."""

from typing import NamedTuple


class TierStanding(NamedTuple):
    """The tier's name and level (0 and "" below the first), and the next one, if any.

    `missing` is what is still to be earned (points) or spent (minor units) for the next.
    """

    name: str
    level: int
    next_name: str
    missing: int


class Standing(NamedTuple):
    """The balance in its parts; `available_points` below zero are a debt. `tier` is None without tiers."""

    available_points: int
    held_points: int = 0
    pending_points: int = 0
    tier: TierStanding | None = None
