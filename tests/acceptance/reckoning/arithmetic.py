"""Exact numbers and the chain's calendar."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = 12


def rounded(number: Fraction, rounding: str) -> int:
    """A whole number, as the program rounds."""
    if rounding == "half_even":
        return round(number)
    return math.floor(number + Fraction(1, 2)) if rounding == "half_up" else math.floor(number)


def split(total: int, amounts: Sequence[int], lines: Sequence[tuple[Any, ...]]) -> list[int]:
    """Proportional parts, each rounded down; what is missing goes to the largest remainders, one by one.

    Of equal remainders that of the larger amount comes first, of equal amounts that of the greatest line.
    """
    if not total:
        return [0] * len(amounts)
    exact = [Fraction(total * amount, sum(amounts)) for amount in amounts]
    parts = [math.floor(share) for share in exact]
    while sum(parts) < total:
        behind = [
            (share - part, amount, line)
            for share, part, amount, line in zip(exact, parts, amounts, lines, strict=True)
        ]
        parts[behind.index(max(behind))] += 1
    return parts


def day_at(at_us: int, zone: ZoneInfo) -> date:
    """The date on the chain's calendar."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone).date()


def midnight_us(day: date, zone: ZoneInfo) -> int:
    """When the day begins."""
    begins = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (begins.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def end_of_day_us(day: date, zone: ZoneInfo) -> int:
    return midnight_us(day + timedelta(days=1), zone)


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or its last if it is shorter."""
    year, month = divmod(day.year * _MONTHS + day.month - 1 + months, _MONTHS)
    return min(
        date(year, month + 1, 1) + timedelta(days=day.day - 1), last_of_month(date(year, month + 1, 1))
    )


def last_of_month(day: date) -> date:
    some_day_of_the_next = day.replace(day=28) + timedelta(days=4)
    return some_day_of_the_next.replace(day=1) - timedelta(days=1)
