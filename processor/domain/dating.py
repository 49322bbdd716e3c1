"""When points become active and when they expire, by a program's rules for lots."""

from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from processor.domain.calendar import add_months, end_of_month, end_of_year, local_date, start_of_day_us
from processor.domain.program import ExpiryEnd, LotRules, Program

_CACHED: Final = 1_024


def lot_times_us(program: Program, at_us: int, now_us: int) -> tuple[int, int]:
    """(active_at_us, expires_at_us) of points earned at `at_us`; 0 if active at `now_us`, 0 if undated."""
    if program.lots is None:
        return 0, 0
    active_at_us, expires_at_us = _times_of_day(
        program.lots, local_date(at_us, program.timezone), program.timezone
    )
    return (active_at_us if active_at_us > now_us else 0), expires_at_us


@lru_cache(_CACHED)
def _times_of_day(rules: LotRules, day: date, timezone: str) -> tuple[int, int]:
    active_at_us = 0
    if rules.pending_days:
        active_at_us = start_of_day_us(day + timedelta(days=rules.pending_days), timezone)
    last_day = _last_day(rules, day)
    return active_at_us, start_of_day_us(last_day + timedelta(days=1), timezone) if last_day else 0


def _last_day(rules: LotRules, earned: date) -> date | None:
    """The last day on which the points can be spent."""
    if rules.after_days is not None:
        day = earned + timedelta(days=rules.after_days)
    elif rules.after_months is not None:
        day = add_months(earned, rules.after_months)
    else:
        return None
    match rules.end_of:
        case ExpiryEnd.MONTH:
            return end_of_month(day)
        case ExpiryEnd.YEAR:
            return end_of_year(day)
    return day


def grace_expiry_us(program: Program, grace_days: int, now_us: int) -> int:
    """When points expire that came back into an expired lot."""
    last_day = local_date(now_us, program.timezone) + timedelta(days=grace_days)
    return start_of_day_us(last_day + timedelta(days=1), program.timezone)


def sliding_expiry_us(program: Program, now_us: int) -> int:
    """When undated points expire after activity at `now_us`; 0 if never."""
    if not (program.lots and program.lots.sliding_days):
        return 0
    return grace_expiry_us(program, program.lots.sliding_days, now_us)
