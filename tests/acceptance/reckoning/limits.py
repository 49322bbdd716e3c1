"""Velocity limits, reckoned from a list of all sales."""

import math
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from loyalty.v1.transaction_service_pb2 import CaptureRequest, HoldRequest
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
    operations: int = 1

    def undone(self, earned_points: int, redeemed_points: int) -> "Sold":
        """Points that no longer count for member and card; the operation does, and all of it for the shop."""
        points = -earned_points, -redeemed_points
        return Sold(self.hour, self.day, self.member, self.card, "", "", *points, operations=0)


def now_us() -> int:
    return time.time_ns() // 1_000


def counts(program: ProgramDocument) -> bool:
    """Whether sales under this program count for limits at all."""
    return "limits" in program or "maximum_points_per_day" in program.get("redemption", {})


def sold_now(
    program: ProgramDocument, member: object, ask: Ask, earned_points: int, redeemed_points: int
) -> Sold:
    place = ask.card, ask.store, ask.terminal
    return Sold(*_hour_and_day(program), member, *place, earned_points, redeemed_points)


def ordered_now(
    program: ProgramDocument, member: object, request: HoldRequest | CaptureRequest, redeemed_points: int
) -> Sold:
    place = card_of(request), request.store_id, request.terminal_id
    return Sold(*_hour_and_day(program), member, *place, 0, redeemed_points)


def _hour_and_day(program: ProgramDocument) -> tuple[int, int]:
    at_us = now_us()
    return at_us // _HOUR_US, day_at(at_us, zone_of(program)).toordinal()


class Limits:
    """The limits for a member, given all sales of the chain."""

    def __init__(self, member: object, sales: Sequence[Sold]) -> None:
        self.member = member
        self._sales = sales

    def redeemed_today(self, program: ProgramDocument) -> int:
        today = day_at(now_us(), zone_of(program)).toordinal()
        own = [sold for sold in self._sales if sold.member is self.member and sold.day == today]
        return sum(sold.redeemed_points for sold in own)

    def check(
        self, program: ProgramDocument, sale: Sold, *, held_points: int = 0, refuses: bool = True
    ) -> list[str]:
        """The soft limits that a sale or an order exceeds. Raises Refused.

        `held_points` count as redeemed by the member and the card.
        """
        flags = []
        for limit in program.get("limits", ()):
            counted = [
                sold
                for sold in (*self._sales, sale)
                if _is_counted(sold, sale, limit["scope"], limit["period"])
            ]
            held = held_points if limit["scope"] in ("member", "card") else 0
            used = {
                "operations": sum(sold.operations for sold in counted),
                "earned_points": sum(sold.earned_points for sold in counted),
                "redeemed_points": sum(sold.redeemed_points for sold in counted) + held,
            }
            for bound, count in used.items():
                most: Any = limit.get(bound)
                adds = bound == "operations" or getattr(sale, bound)
                if most is None or count <= most or not counted or not adds:
                    continue
                if limit["action"] == "refuse" and refuses:
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

    def redeemable(self, program: ProgramDocument, member: Any, ask: Ask) -> float:
        """The most points in all that no hard limit refuses."""
        most = math.inf
        sale = sold_now(program, self.member, ask, 0, 0)
        for limit in program.get("limits", ()):
            counted = [
                sold for sold in self._sales if _is_counted(sold, sale, limit["scope"], limit["period"])
            ]
            has_subject = _is_counted(sale, sale, limit["scope"], limit["period"])
            if limit["action"] == "refuse" and "redeemed_points" in limit and has_subject:
                held = member.wallet.held_points if limit["scope"] in ("member", "card") else 0
                used = sum(sold.redeemed_points for sold in counted) + held
                most = min(most, limit["redeemed_points"] - used)
        return max(most, 0)


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
