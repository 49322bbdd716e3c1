"""A chain's own days, months and years, in its time zone; times in microseconds since the Unix epoch."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1)
# Every zone's offset is a multiple of this, so that one answer holds for a whole quarter of an hour.
_QUARTER_US: Final = 900 * 1_000_000
_HOUR_US: Final = 3_600 * 1_000_000
_MONTHS_PER_YEAR: Final = 12
_CACHED: Final = 4_096


def hour_of(at_us: int) -> int:
    """Hours since the Unix epoch."""
    return at_us // _HOUR_US


def day_of(at_us: int, timezone: str) -> int:
    """Local days since 1970-01-01."""
    return _day_of_quarter(at_us // _QUARTER_US, timezone)


@lru_cache(_CACHED)
def _day_of_quarter(quarter: int, timezone: str) -> int:
    return (_date_of_quarter(quarter, timezone) - _EPOCH_DAY).days


def month_of(at_us: int, timezone: str) -> int:
    """The local year x 12 + month, from 0."""
    return _month_of_quarter(at_us // _QUARTER_US, timezone)


@lru_cache(_CACHED)
def _month_of_quarter(quarter: int, timezone: str) -> int:
    return month_number(_date_of_quarter(quarter, timezone))


def month_number(day: date) -> int:
    """Year x 12 + month, from 0."""
    return day.year * _MONTHS_PER_YEAR + day.month - 1


def local_date(at_us: int, timezone: str) -> date:
    """The date on the chain's calendar."""
    return _date_of_quarter(at_us // _QUARTER_US, timezone)


@lru_cache(_CACHED)
def _date_of_quarter(quarter: int, timezone: str) -> date:
    moment = _EPOCH + timedelta(microseconds=quarter * _QUARTER_US)
    return moment.astimezone(ZoneInfo(timezone)).date()


@lru_cache(_CACHED)
def start_of_day_us(day: date, timezone: str) -> int:
    """When a day begins: the first moment of it, also where a change of the clock skips midnight."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone))
    return (midnight.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month if it is shorter."""
    year, month = divmod(month_number(day) + months, _MONTHS_PER_YEAR)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def end_of_month(day: date) -> date:
    """The last day of the month."""
    return day.replace(day=monthrange(day.year, day.month)[1])


def end_of_year(day: date) -> date:
    """The last day of the year."""
    return date(day.year, 12, 31)
