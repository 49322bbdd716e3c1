"""Balances and quotes as a till sees them: by the rules, of what the ledger has left."""

from collections.abc import AsyncIterator
from time import time_ns
from typing import Any

import grpc
import pytest

from loyalty.v1.transaction_service_pb2 import Balance, GetBalanceRequest, QuoteRequest, QuoteResponse
from processor.domain.account import Account, CardStatus, MemberStatus
from processor.domain.calendar import day_of, hour_of
from processor.domain.decide import decide
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument, program_from_document
from processor.domain.situation import Situation
from processor.domain.state import Hold, Lot, MemberState, PendingLot, Tally, encode_state
from processor.rpc import reads
from processor.rpc.convert.sales import checkout_command
from tests.unit.rpc_harness import AUTHORIZATION, Failure, Harness, failure, running
from tests.unit.rpc_requests import checkout_request, quote_request

AUTH = (AUTHORIZATION,)
DAY_US = 86_400 * 1_000_000
NOW_US = time_ns() // 1_000
DOCUMENT: ProgramDocument = {
    "earning": {"points_per_step": 1, "step_minor": 100, "rounding": "down", "rounding_scope": "receipt"},
    "redemption": {
        "value_points": 1,
        "value_minor": 1,
        "minimum_points": 10,
        "maximum_share_percent": 50,
    },
    "rewards": [
        {"id": "ten-percent", "points": 100, "discount_percent": 10},
        {"id": "staff", "points": 1, "discount_percent": 10, "segments": ["staff"]},
    ],
    "tiers": {
        "basis": "earned_points",
        "period": "life",
        "downgrade": "never",
        "levels": [{"name": "bronze", "threshold": 1000, "discount_percent": 6}],
    },
    "limits": [{"scope": "store", "period": "day", "operations": 5, "action": "refuse"}],
}
PROGRAM = program_from_document(1, 0, DOCUMENT)


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    async with running() as harness:
        harness.keys.program = PROGRAM
        yield harness


def account(balance_points: int, state: MemberState, **more: Any) -> Account:
    return Account(5, balance_points, 3, b"", encode_state(state), **more)


# --- balances --------------------------------------------------------------------------------------


async def balance_of(rpc: Harness, known: Account) -> Balance:
    rpc.reader.known_account = known
    return await rpc.stub.GetBalance(GetBalanceRequest(member_id=5), metadata=AUTH)


async def test_nobody_has_no_balance(rpc: Harness) -> None:
    for request in (GetBalanceRequest(card="c"), GetBalanceRequest(phone="+491701234567")):
        failed = await failure(rpc.stub.GetBalance(request, metadata=AUTH))
        assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "MEMBER_NOT_FOUND")


async def test_a_plain_balance_can_be_spent_whole(rpc: Harness) -> None:
    balance = await balance_of(rpc, Account(5, 70, 3, b""))
    assert (balance.member_id, balance.balance_points, balance.member_sequence) == (5, 70, 3)
    assert (balance.available_points, balance.held_points, balance.pending_points) == (70, 0, 0)
    assert [(lot.points, lot.HasField("expires_at")) for lot in balance.lots] == [(70, False)]
    assert (balance.tier.level, balance.tier.next_name, balance.tier.missing) == (0, "bronze", 1000)


async def test_a_balance_shows_its_parts_soonest_expiry_first(rpc: Harness) -> None:
    soon_us, later_us = NOW_US + DAY_US, NOW_US + 2 * DAY_US
    state = MemberState(
        lots=(Lot(soon_us, 20), Lot(later_us, 30)),
        pending=(PendingLot(soon_us, later_us, 7),),
        holds=(Hold(1, later_us, (Lot(soon_us, 4), Lot(0, 1))),),
    )
    balance = await balance_of(rpc, account(100, state, segments="staff,vip"))
    assert (balance.available_points, balance.held_points, balance.pending_points) == (88, 5, 7)
    lots = [(lot.points, lot.expires_at.ToMicroseconds()) for lot in balance.lots]
    assert lots == [(20, soon_us), (30, later_us), (38, 0)]
    [hold], [pending] = balance.holds, balance.pending_lots
    assert (hold.points, hold.expires_at.ToMicroseconds()) == (5, later_us)
    assert (pending.points, pending.active_at.ToMicroseconds()) == (7, soon_us)
    assert pending.expires_at.ToMicroseconds() == later_us
    assert list(balance.segments) == ["staff", "vip"]


async def test_what_is_due_is_counted_in(rpc: Harness) -> None:
    past_us, later_us = NOW_US - 1, NOW_US + DAY_US
    state = MemberState(lots=(Lot(past_us, 20),), pending=(PendingLot(past_us, later_us, 7),))
    balance = await balance_of(rpc, account(100, state))
    assert (balance.balance_points, balance.available_points, balance.pending_points) == (80, 80, 0)
    assert [lot.points for lot in balance.lots] == [7, 73]


async def test_a_debt_has_no_lots(rpc: Harness) -> None:
    balance = await balance_of(rpc, Account(5, -70, 3, b""))
    assert (balance.balance_points, balance.available_points, list(balance.lots)) == (-70, -70, [])


# --- quotes ----------------------------------------------------------------------------------------


async def quoted(rpc: Harness, request: QuoteRequest) -> QuoteResponse:
    return await rpc.stub.Quote(request, metadata=AUTH)


async def refused_quote(rpc: Harness, request: QuoteRequest) -> Failure:
    failed = await failure(rpc.stub.Quote(request, metadata=AUTH))
    assert not rpc.queue.submitted
    return failed


async def test_a_quote_says_what_the_checkout_would_give(rpc: Harness) -> None:
    rpc.reader.known_account = Account(1, 500, 3, b"")
    request = quote_request()
    request.redeem_points = 100
    request.reward_ids.append("ten-percent")
    quote = await quoted(rpc, request)
    checkout = checkout_request()
    checkout.redeem_points, checkout.quote_token = 100, quote.quote_token
    checkout.reward_ids.append("ten-percent")
    command = checkout_command(checkout)
    decision = decide(rpc.reader.known_account, command, PROGRAM, Situation(NOW_US, online_program=PROGRAM))
    assert quote.earned_points == decision.earned_points > 0
    assert quote.redeemed_points == decision.redeemed_points == 200
    assert quote.redeemed_minor == decision.redeemed_minor == 100
    assert quote.discount_minor == decision.discount_minor == 100
    assert quote.payable_minor == 1000 - 100 - 100
    told = [(rule.rule, rule.points, rule.minor) for rule in quote.applied_rules]
    assert told == [tuple(rule) for rule in decision.applied_rules]
    assert (quote.member_id, quote.available_points, quote.minimum_points) == (1, 500, 10)
    assert list(quote.available_rewards) == ["ten-percent"]
    assert 0 < quote.redeemable_points_max <= 400
    assert quote.tier.next_name == "bronze"
    assert not rpc.queue.submitted


async def test_a_quote_that_would_be_refused_is_refused_with_the_same_reason(rpc: Harness) -> None:
    rpc.reader.known_account = Account(1, 50, 3, b"")
    request = quote_request()
    request.redeem_points = 60
    failed = await refused_quote(rpc, request)
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_POINTS")
    assert failed.metadata == {"available_points": "50", "balance_points": "50", "redeem_points": "60"}


async def test_a_quote_counts_what_the_store_has_done_today(
    rpc: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else it would fail at midnight.
    monkeypatch.setattr(reads, "now_us", lambda: NOW_US)
    rpc.reader.known_account = Account(1, 50, 3, b"")
    day, hour = day_of(NOW_US, "UTC"), hour_of(NOW_US)
    rpc.reader.known_tallies["store:store-1"] = Tally(0, hour, 5, 0, 0, day, 5, 0, 0)
    failed = await refused_quote(rpc, quote_request())
    assert (failed.reason, failed.metadata["scope"]) == ("LIMIT_EXCEEDED", "store")


@pytest.mark.parametrize(
    "card_status, member_status, redeem_points, reason",
    [
        (CardStatus.REPLACED, MemberStatus.OPEN, 0, "CARD_REPLACED"),
        (CardStatus.BLOCKED, MemberStatus.OPEN, 10, "CARD_BLOCKED"),
        (CardStatus.OPEN, MemberStatus.CLOSED, 0, "MEMBER_CLOSED"),
    ],
)
async def test_a_quote_looks_at_card_and_member(
    rpc: Harness, card_status: CardStatus, member_status: MemberStatus, redeem_points: int, reason: str
) -> None:
    rpc.reader.known_account = Account(1, 50, 3, b"", status=member_status)
    rpc.reader.known_card_status = card_status
    request = quote_request()
    request.card = "c-1"
    request.redeem_points = redeem_points
    failed = await refused_quote(rpc, request)
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)


async def test_a_blocked_card_can_earn(rpc: Harness) -> None:
    rpc.reader.known_account = Account(1, 50, 3, b"")
    rpc.reader.known_card_status = CardStatus.BLOCKED
    assert (await quoted(rpc, quote_request())).earned_points == 10


async def test_a_card_of_nobodys_is_quoted_if_its_checkout_would_enrol(rpc: Harness) -> None:
    request = quote_request()
    request.phone = "+491701234567"
    assert (await refused_quote(rpc, request)).reason == "MEMBER_NOT_FOUND"
    rpc.keys.program = PROGRAM._replace(enrols=True)
    quote = await quoted(rpc, request)
    assert (quote.member_id, quote.earned_points, quote.available_points) == (0, 10, 0)
    request.member_id = 1
    assert (await refused_quote(rpc, request)).reason == "MEMBER_NOT_FOUND"


async def test_a_plain_program_quotes_too(rpc: Harness) -> None:
    rpc.keys.program = program_from_document(1, 0, DEFAULT_PROGRAM)
    rpc.reader.known_account = Account(1, 50, 3, b"")
    quote = await quoted(rpc, quote_request())
    assert (quote.payable_minor, quote.HasField("tier"), quote.quote_token != "") == (1000, False, True)
