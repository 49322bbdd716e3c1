"""When points of a program become active and when they expire."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from processor.domain.program_document import ProgramDocument
from tests.acceptance.reckoning.arithmetic import (
    day_at,
    end_of_day_us,
    last_of_month,
    midnight_us,
    months_later,
)
from tests.acceptance.reckoning.wallet import Expiry


def zone_of(program: ProgramDocument) -> ZoneInfo:
    return ZoneInfo(program.get("timezone", "UTC"))


def active_at_us(program: ProgramDocument, at_us: int, now_us: int) -> int | None:
    """When points that were earned at a time can be spent; None if they can be at once."""
    zone = zone_of(program)
    waits = timedelta(days=program.get("lots", {}).get("pending_days", 0))
    active_us = midnight_us(day_at(at_us, zone) + waits, zone)
    return active_us if active_us > now_us else None


def expires_at_us(program: ProgramDocument, at_us: int) -> Expiry:
    """When points expire that were earned at a time; None if never or if that slides."""
    zone = zone_of(program)
    expiry = program.get("lots", {}).get("expiry", {})
    earned = day_at(at_us, zone)
    if "after_days" in expiry:
        day = earned + timedelta(days=expiry["after_days"])
    elif "after_months" in expiry:
        day = months_later(earned, expiry["after_months"])
    else:
        return None
    return end_of_day_us(_put_off(day, expiry.get("end_of", "day")), zone)


def _put_off(day: date, end_of: str) -> date:
    if end_of == "year":
        return day.replace(month=12, day=31)
    return last_of_month(day) if end_of == "month" else day


def slides_until_us(program: ProgramDocument, now_us: int) -> int | None:
    """When points expire that never do otherwise, after activity now."""
    days = program.get("lots", {}).get("expiry", {}).get("sliding_days")
    return _days_later(program, now_us, days) if days else None


def grace_until_us(program: ProgramDocument, now_us: int) -> int | None:
    """When points expire that came back into an expired lot; None if they are lost."""
    days = program.get("returns", {}).get("grace_days")
    return _days_later(program, now_us, days) if days else None


def _days_later(program: ProgramDocument, now_us: int, days: int) -> int:
    zone = zone_of(program)
    return end_of_day_us(day_at(now_us, zone) + timedelta(days=days), zone)
