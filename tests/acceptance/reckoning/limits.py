"""Velocity limits, reckoned from a list of all sales."""

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from loyalty.v1.transaction_service_pb2 import CaptureRequest
from processor.domain.program_document import ProgramDocument
from tests.acceptance.reckoning.arithmetic import day_at
from tests.acceptance.reckoning.ask import Ask, card_of
from tests.acceptance.reckoning.calendar import zone_of
from tests.acceptance.reckoning.replies import Refused

_HOUR_US: Final = 3_600_000_000


class Sold(NamedTuple):
    """A sale for the limits: when it was, in hours and days, and whose."""

    hour: int
    day: int
    member: object
    card: str
    store: str
    terminal: str
    earned_points: int
    redeemed_points: int


def now_us() -> int:
    return time.time_ns() // 1_000


def counts(program: ProgramDocument) -> bool:
    """Whether sales under this program count for limits at all."""
    return "limits" in program or "maximum_points_per_day" in program.get("redemption", {})


def sold_now(
    program: ProgramDocument, member: object, ask: Ask, earned_points: int, redeemed_points: int
) -> Sold:
    at_us = now_us()
    day = day_at(at_us, zone_of(program)).toordinal()
    return Sold(
        at_us // _HOUR_US, day, member, ask.card, ask.store, ask.terminal, earned_points, redeemed_points
    )


class Limits:
    """The limits for a member, given all sales of the chain."""

    def __init__(self, member: object, sales: Sequence[Sold]) -> None:
        self._member = member
        self._sales = sales

    def redeemed_today(self, program: ProgramDocument) -> int:
        today = day_at(now_us(), zone_of(program)).toordinal()
        own = [sold for sold in self._sales if sold.member is self._member and sold.day == today]
        return sum(sold.redeemed_points for sold in own)

    def captured(self, program: ProgramDocument, request: CaptureRequest, points: int) -> Sold:
        """A capture counts like a sale, for the shop where the order is handed out."""
        at_us = now_us()
        day = day_at(at_us, zone_of(program)).toordinal()
        card = card_of(request)
        place = request.store_id, request.terminal_id
        return Sold(at_us // _HOUR_US, day, self._member, card, *place, 0, points)

    def check(
        self, program: ProgramDocument, ask: Ask, earned_points: int, redeemed_points: int
    ) -> list[str]:
        """The soft limits that a sale exceeds. Raises Refused."""
        sale = sold_now(program, self._member, ask, earned_points, redeemed_points)
        flags = []
        for limit in program.get("limits", ()):
            counted = [
                sold
                for sold in (*self._sales, sale)
                if _is_counted(sold, sale, limit["scope"], limit["period"])
            ]
            used = {
                "operations": len(counted),
                "earned_points": sum(sold.earned_points for sold in counted),
                "redeemed_points": sum(sold.redeemed_points for sold in counted),
            }
            for bound, count in used.items():
                most: Any = limit.get(bound)
                if most is None or count <= most or not counted:
                    continue
                if limit["action"] == "refuse" and not ask.is_offline:
                    raise Refused(
                        "LIMIT_EXCEEDED",
                        scope=limit["scope"],
                        period=limit["period"],
                        bound=bound,
                        limit=most,
                        used=count,
                    )
                flags.append(f"{limit['scope']}.{limit['period']}.{bound}")
        return flags


def _is_counted(sold: Sold, sale: Sold, scope: str, period: str) -> bool:
    """Whether a sale was in the present hour or day and of the same card, member, terminal or store."""
    if getattr(sold, period) != getattr(sale, period):
        return False
    match scope:
        case "member":
            return sold.member is sale.member
        case "card":
            return bool(sale.card) and (sold.member, sold.card) == (sale.member, sale.card)
        case "terminal":
            return bool(sale.terminal) and (sold.store, sold.terminal) == (sale.store, sale.terminal)
    return sold.store == sale.store
