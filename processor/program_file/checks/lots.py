"""From when on points can be spent, until when, and what becomes of those that come back."""

from collections.abc import Iterator
from typing import Final, Literal

from processor.domain.program_document import ProgramDocument
from processor.domain.program_sections import ExpiryDocument
from processor.program_file.checks.contradiction import Contradiction, empty_section, exactly_one

_SHORTEST_MONTH_DAYS: Final = 28
_KINDS: Final[tuple[Literal["after_days", "after_months"], ...]] = ("after_days", "after_months")


def check_lots(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `lots`."""
    lots = document.get("lots")
    if lots is None:
        return
    yield from empty_section(lots, ("lots",))
    if "expiry" not in lots:
        return
    expiry = lots["expiry"]
    yield from exactly_one({**expiry}, ("lots", "expiry"), "after_days", "after_months", "sliding_days")
    if "sliding_days" in expiry and "end_of" in expiry:
        reason = "goes with after_days or after_months only, not with sliding_days"
        yield Contradiction(("lots", "expiry", "end_of"), reason)
    yield from _check_none_later(expiry)
    least_days = _least_days(expiry)
    if least_days is not None and lots.get("pending_days", 0) > least_days:
        reason = f"must be at most {least_days:,}: points would expire before they could be spent"
        yield Contradiction(("lots", "pending_days"), reason)


def _check_none_later(expiry: ExpiryDocument) -> Iterator[Contradiction]:
    """0 stands for the present month or year."""
    for kind in _KINDS:
        if expiry.get(kind) == 0 and expiry.get("end_of") not in ("month", "year"):
            yield Contradiction(
                ("lots", "expiry", kind), "must be at least 1, but with end_of: month or year"
            )


def _least_days(expiry: ExpiryDocument) -> int | None:
    """The fewest days that points live."""
    days = [expiry[kind] for kind in ("after_days", "sliding_days") if kind in expiry]
    if "after_months" in expiry:
        days.append(expiry["after_months"] * _SHORTEST_MONTH_DAYS)
    return min(days, default=None)


def check_returns(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `returns`."""
    returns = document.get("returns")
    if returns is None:
        return
    yield from empty_section(returns, ("returns",))
    lots = document.get("lots", {})
    restores = returns.get("expired_lots") == "restore"
    if restores and "grace_days" not in returns:
        yield Contradiction(("returns", "grace_days"), "is missing: how long restored points live")
    if not restores and "grace_days" in returns:
        yield Contradiction(("returns", "grace_days"), "goes with expired_lots: restore only")
    if "expired_lots" in returns and "expiry" not in lots:
        reason = f"{returns['expired_lots']} needs lots.expiry: without it no lot expires"
        yield Contradiction(("returns", "expired_lots"), reason)
    if returns.get("shortfall") == "pending_only" and "pending_days" not in lots:
        reason = "pending_only needs lots.pending_days: without it no points are pending"
        yield Contradiction(("returns", "shortfall"), reason)
