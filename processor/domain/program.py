"""A chain's rules as plain data."""

from enum import StrEnum
from typing import NamedTuple


class Rounding(StrEnum):
    """What becomes of a part of a step."""

    DOWN = "down"
    HALF_UP = "half_up"
    HALF_EVEN = "half_even"


class RoundingScope(StrEnum):
    """What is rounded: the receipt as a whole, or each line by itself."""

    RECEIPT = "receipt"
    LINE = "line"


class Program(NamedTuple):
    """One version of a chain's rules.

    A receipt earns `points_per_step` for every `step_minor` paid with money, in whole steps after rounding.
    `value_points` points pay `value_minor` minor units. Points may pay at most `maximum_share_percent` of a
    receipt, and at least `minimum_points` are redeemed at once.
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


def program_in_force(programs: tuple[Program, ...], at_us: int) -> Program:
    """Return the one of `programs` (ascending by version) that became effective last at `at_us`.

    Of two with the same time it is the newer. The first version is in force before its time too: a chain is
    never without rules.
    """
    effective = [program for program in programs if program.effective_from_us <= at_us]
    return max(effective, key=_precedence) if effective else programs[0]


def _precedence(program: Program) -> tuple[int, int]:
    return program.effective_from_us, program.version
