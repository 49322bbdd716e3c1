"""200 calls at once, over both workers, for what only some of them can have: never one too many."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import AccrueRequest
from storage.verify import verify
from tests.chains import Chain
from tests.client import Answer, Till, Write
from tests.requests import accrue, bring_back, capture, hold, redeem, reverse, void

pytestmark = pytest.mark.xdist_group("server")

CALLS = 200
MEMBER = 1
# With the default program a point for each 10,000.
POINT_MINOR = 10_000
PIECE_MILLI = 1_000


async def race(till: Till, requests: Sequence[Write]) -> list[Answer]:
    """All at once, and all once more: nobody gets more by asking again."""
    answers = await _send_at_once(till, requests)
    assert not any(answer.replayed for answer in answers)
    repeats = await _send_at_once(till, requests)
    assert all(repeat.replayed for repeat in repeats)
    assert [repeat.body for repeat in repeats] == [answer.body for answer in answers]
    return answers


async def _send_at_once(till: Till, requests: Sequence[Write]) -> list[Answer]:
    return await asyncio.gather(*(till.write(request) for request in requests))


async def give_points(till: Till, points: int) -> None:
    answer = await till.write(accrue(MEMBER, points * POINT_MINOR))
    assert answer.operation.available_points == points


async def check_books(till: Till, chain: Chain, *, balance_points: int, operations: int) -> None:
    """The balance, the entries that add up to it, and every hash and state."""
    balance = await till.balance(MEMBER)
    assert (balance.balance_points, balance.available_points) == (balance_points, balance_points)
    assert (balance.held_points, balance.pending_points) == (0, 0)
    entries = [answer.operation for _, answer in await till.operations(MEMBER, 1_000) if not answer.reason]
    assert sum(entry.earned_points - entry.redeemed_points for entry in entries) == balance_points
    assert balance.member_sequence == operations == await chain.operation_count()
    report = await verify(chain.dsn, chain.name)
    assert (report.operations, report.differences) == (operations, [])


async def test_200_redemptions_of_the_last_100_points(wide_till: Till, chain: Chain) -> None:
    await give_points(wide_till, 100)

    answers = await race(wide_till, [redeem(MEMBER, 1) for _ in range(CALLS)])

    balances = [answer.operation.balance_points for answer in answers if not answer.reason]
    assert sorted(balances) == list(range(100))
    refused = [answer for answer in answers if answer.reason]
    assert {answer.reason for answer in refused} == {"INSUFFICIENT_POINTS"}
    nothing_left = {"balance_points": "0", "available_points": "0", "redeem_points": "1"}
    assert all(answer.metadata == nothing_left for answer in refused)
    await check_books(wide_till, chain, balance_points=0, operations=1 + CALLS)


async def test_200_captures_of_one_hold(wide_till: Till, chain: Chain) -> None:
    await give_points(wide_till, 100)
    held = hold(MEMBER, 60)
    await wide_till.write(held)
    key = held.idempotency_key

    answers = await race(wide_till, [capture(MEMBER, key, 1 + number % 60) for number in range(CALLS)])

    [won] = [answer.operation for answer in answers if not answer.reason]
    refused = [answer for answer in answers if answer.reason]
    assert {answer.reason for answer in refused} == {"HOLD_CAPTURED"}
    assert all(answer.metadata == {"original_key": key} for answer in refused)
    await check_books(wide_till, chain, balance_points=100 - won.redeemed_points, operations=2 + CALLS)


async def test_a_hold_is_either_captured_or_void(wide_till: Till, chain: Chain) -> None:
    await give_points(wide_till, 100)
    held = hold(MEMBER, 60)
    await wide_till.write(held)
    key = held.idempotency_key

    answers = await race(
        wide_till, [capture(MEMBER, key) if number % 2 else void(MEMBER, key) for number in range(CALLS)]
    )

    [won] = [answer.operation for answer in answers if not answer.reason]
    refusals = {answer.reason for answer in answers if answer.reason}
    assert refusals == {"HOLD_CAPTURED" if won.redeemed_points else "HOLD_VOID"}
    await check_books(wide_till, chain, balance_points=100 - won.redeemed_points, operations=2 + CALLS)


def sale_of_pieces(pieces: int, points_each: int) -> AccrueRequest:
    """One line; each piece earns that many points."""
    total_minor = pieces * points_each * POINT_MINOR
    line = LineItem(sku="sku-1", quantity_milli=pieces * PIECE_MILLI, amount_minor=total_minor)
    receipt = Receipt(receipt_id="receipt-1", total_minor=total_minor, lines=[line])
    return accrue(MEMBER, receipt=receipt)


async def test_200_returns_of_one_line_of_70_pieces(wide_till: Till, chain: Chain) -> None:
    sale = sale_of_pieces(70, points_each=3)
    await wide_till.write(sale)

    returns = [bring_back(MEMBER, sale.idempotency_key, PIECE_MILLI) for _ in range(CALLS)]
    answers = await race(wide_till, returns)

    won = [answer.operation for answer in answers if not answer.reason]
    assert len(won) == 70
    assert {(each.redeemed_points, each.refund_minor) for each in won} == {(3, 3 * POINT_MINOR)}
    refused = [answer for answer in answers if answer.reason]
    assert {answer.reason for answer in refused} == {"RETURN_ABOVE_ORIGINAL"}
    nothing_left = {"line_number": "1", "remaining_quantity_milli": "0"}
    assert all(answer.metadata == nothing_left for answer in refused)
    await check_books(wide_till, chain, balance_points=0, operations=1 + CALLS)


async def test_each_piece_is_won_once_by_a_return_or_the_reversal(wide_till: Till, chain: Chain) -> None:
    sale = sale_of_pieces(70, points_each=3)
    await wide_till.write(sale)
    key = sale.idempotency_key

    answers = await race(
        wide_till,
        [
            reverse(MEMBER, key) if number % 10 == 5 else bring_back(MEMBER, key, PIECE_MILLI)
            for number in range(CALLS)
        ],
    )

    won = [answer.operation for answer in answers if not answer.reason]
    assert sum(each.refund_minor for each in won) == sale.receipt.total_minor
    assert sum(each.redeemed_points for each in won) == 210
    reasons = Counter(answer.reason for answer in answers)
    assert reasons.keys() <= {"", "RETURN_ABOVE_ORIGINAL", "ALREADY_REVERSED"}
    assert reasons["ALREADY_REVERSED"] in (CALLS // 10 - 1, CALLS // 10)
    await check_books(wide_till, chain, balance_points=0, operations=1 + CALLS)
