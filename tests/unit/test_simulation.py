"""What a program would have given: the figures of single members, and two programs side by side."""

import json
from typing import Any

import pytest

from processor.domain.command import Kind, LineItem, lines_text
from processor.domain.effects import Effects, ReturnedPart
from processor.domain.effects_bytes import encode_effects
from processor.domain.program import Program
from processor.domain.program_document import DEFAULT_PROGRAM, program_from_document
from processor.domain.simulation import Figures, Recorded, simulate
from processor.program_file import parse_program
from processor.simulation import Change, Comparison
from tests.documents import merge_patch

DAY_US = 86_400 * 1_000_000
START_US = 20_000 * DAY_US
END_US = START_US + 100 * DAY_US
# A point for each 100 paid, worth 1.
BASE = {"earning": {"step_minor": 100}, "redemption": {"value_minor": 1}}


def program(**changes: Any) -> Program:
    document = merge_patch(merge_patch({**DEFAULT_PROGRAM}, BASE), changes)
    return program_from_document(1, 0, parse_program(json.dumps(document)).document)


def recorded(kind: Kind, key: str, *, day: int = 0, total_minor: int = 0, **fields: Any) -> Recorded:
    at_us = START_US + day * DAY_US
    return Recorded(kind, key, at_us, at_us, 0, 0, total_minor, "", "", b"")._replace(**fields)


def sale(key: str, total_minor: int, **fields: Any) -> Recorded:
    return recorded(Kind.CHECKOUT, key, total_minor=total_minor, **fields)


def figures(program: Program, *history: Recorded, segments: str = "") -> Figures:
    return simulate(program, segments, history, END_US).figures


def test_sales_earn_and_redeem_by_the_program() -> None:
    assert figures(program(), sale("a", 10_000), sale("b", 1_000, redeemed_points=40)) == Figures(
        receipts=2,
        total_minor=11_000,
        redeemed_points=40,
        redeemed_minor=40,
        earned_points=109,
        balance_points=69,
    )


@pytest.mark.parametrize(
    "redemption, redeemed_points",
    [
        ({}, 100),  # what is there
        ({"maximum_share_percent": 5}, 50),
        ({"minimum_points": 101}, 0),
        ({"maximum_share_percent": 5, "minimum_points": 60}, 0),
        (None, 0),
    ],
)
def test_customers_redeem_what_they_can_of_what_they_did(
    redemption: dict[str, int] | None, redeemed_points: int
) -> None:
    history = sale("a", 10_000), sale("b", 1_000, redeemed_points=300)
    found = figures(program(redemption=redemption), *history)
    assert (found.redeemed_points, found.refused_receipts) == (redeemed_points, 0)


def test_a_sale_that_a_limit_refuses_earns_nothing() -> None:
    limited = program(limits=[{"scope": "member", "period": "day", "operations": 1, "action": "refuse"}])
    found = figures(limited, sale("a", 10_000), sale("b", 10_000))
    assert (found.receipts, found.refused_receipts, found.earned_points) == (2, 1, 100)


def test_goods_that_come_back_take_their_figures_with_them() -> None:
    lines = lines_text((LineItem("a", 1_000, 600, ""), LineItem("b", 1_000, 400, "")))
    returned = encode_effects(Effects(returned=(ReturnedPart(2, 1_000),)))
    history = (
        sale("sale", 1_000, receipt_lines=lines),
        recorded(Kind.RETURN, "return", original_key="sale", effects=returned),
        recorded(Kind.REVERSE, "unknown", original_key="before the span"),
    )
    discounted = figures(program(discount={"percent": 10}), *history)
    assert (discounted.total_minor, discounted.discount_minor) == (600, 60)
    assert (discounted.earned_points, discounted.balance_points) == (5, 5)
    reversed_ = figures(program(), *history, recorded(Kind.REVERSE, "reverse", original_key="sale"))
    assert reversed_ == Figures(receipts=1)


def test_what_the_operator_gave_is_there_to_be_spent() -> None:
    given = recorded(Kind.ADJUST, "given", earned_points=50)
    taken = recorded(Kind.ADJUST, "taken", redeemed_points=20)
    undone = recorded(Kind.REVERSE, "undone", original_key="taken")
    found = figures(program(), given, taken, sale("a", 99, redeemed_points=10), undone)
    assert found == Figures(
        receipts=1, total_minor=99, redeemed_points=10, redeemed_minor=10, balance_points=40
    )


def test_points_expire_meanwhile() -> None:
    expiring = program(lots={"expiry": {"after_days": 30}})
    found = figures(expiring, sale("a", 10_000), sale("b", 5_000, day=90))
    assert (found.earned_points, found.expired_points, found.balance_points) == (150, 100, 50)


def test_two_programs_side_by_side() -> None:
    proposed = program(
        earning={"segments": [{"segment": "staff", "points_per_step": 1, "step_minor": 1_000}]},
        discount={"segments": [{"segment": "vip", "percent": 10}]},
        tiers={
            "basis": "earned_points",
            "period": "life",
            "downgrade": "never",
            "levels": [{"name": "bronze", "threshold": 90}],
        },
    )
    comparison = Comparison(program(), proposed, END_US)
    comparison.add(1, "", [sale("a", 10_000)])
    comparison.add(2, "staff", [sale("b", 10_000)])
    comparison.add(3, "staff,vip", [sale("c", 10_000)])
    for member_id in range(10, 20):
        comparison.add(member_id, "vip", [sale("d", 100 * member_id)])
    assert comparison.all.members == 13
    assert comparison.present_tiers == {"": 13}
    assert comparison.proposed_tiers == {"": 12, "bronze": 1}
    assert comparison.segments["staff"].present.earned_points == 200
    assert comparison.segments["staff"].proposed.earned_points == 10 + 9
    assert comparison.winners[0] == Change(909, 3, 100, 1_009)
    assert [change.member_id for change in comparison.winners] == [3, 19, 18, 17, 16]
    assert comparison.losers == [Change(-90, 2, 100, 10)]
    assert comparison.receipts_without_lines == 13
