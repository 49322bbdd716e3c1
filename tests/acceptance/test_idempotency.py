"""One effect per key, and the original reply, however often and from wherever a call is sent."""

import asyncio
from collections.abc import Sequence

import pytest

from loyalty.v1.transaction_service_pb2 import AccrueRequest
from tests.chains import Chain, new_chain
from tests.client import Answer, Till
from tests.requests import DAY_SECONDS, Write, accrue, ago, redeem
from tests.server import Server, eventually_true

pytestmark = pytest.mark.xdist_group("server")


async def send_at_once(till: Till, requests: Sequence[Write]) -> list[Answer]:
    return await asyncio.gather(*(till.write(request) for request in requests))


async def is_out_of_window(till: Till, old: AccrueRequest) -> bool:
    answer = await till.write(accrue(2, occurred_at=old.occurred_at))
    return answer.reason == "OCCURRED_AT_OUT_OF_WINDOW"


@pytest.mark.parametrize("points", [0, 5])
async def test_64_concurrent_sends_of_one_key_to_two_workers_have_one_effect(
    wide_till: Till, chain: Chain, points: int
) -> None:
    """Applied (an accrual) or refused (a redemption of points that the member has not)."""
    for round_number in range(1, 11):
        request = redeem(round_number, points) if points else accrue(round_number, 70_000)
        answers = await send_at_once(wide_till, [request] * 64)
        assert len({answer.body for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
        assert {answer.reason for answer in answers} == {"INSUFFICIENT_POINTS" if points else ""}
        assert await chain.operation_count() == round_number
        balance = await wide_till.balance(round_number)
        assert (balance.balance_points, balance.member_sequence) == (0 if points else 7, 1)


async def test_one_key_for_two_members_in_two_months_has_one_effect(wide_till: Till, chain: Chain) -> None:
    for round_number in range(1, 41):
        now = accrue(1, idempotency_key=f"key-{round_number}")
        long_ago = accrue(2, idempotency_key=now.idempotency_key, occurred_at=ago(40 * DAY_SECONDS))
        answers = await send_at_once(wide_till, [now, long_ago] * 4)
        applied = [answer for answer in answers if not answer.reason]
        refused = [answer for answer in answers if answer.reason]
        assert len(applied) == len(refused) == 4
        assert sum(not answer.replayed for answer in applied) == 1
        assert len({answer.body for answer in applied}) == 1
        assert {answer.metadata["differing_fields"] for answer in refused} == {"member,occurred_at"}
        assert await chain.operation_count() == round_number
    balances = [await wide_till.balance(member_id) for member_id in (1, 2)]
    assert sum(balance.balance_points for balance in balances) == 40


async def test_a_repeat_long_after_the_window_gets_its_original_reply(till: Till, chain: Chain) -> None:
    old = accrue(1, occurred_at=ago(40 * DAY_SECONDS))
    first = await till.write(old)
    assert (first.reason, first.replayed) == ("", False)
    await chain.query("UPDATE chain SET window_back_seconds = 86400 WHERE chain_id = $1")
    await eventually_true(lambda: is_out_of_window(till, old))
    assert await till.write(old) == first._replace(replayed=True)
    assert await till.batch([old, old]) == [first._replace(replayed=True)] * 2
    reused = await till.write(
        accrue(1, occurred_at=old.occurred_at, idempotency_key=old.idempotency_key, store_id="2")
    )
    assert reused.reason == "IDEMPOTENCY_KEY_REUSED"
    assert reused.metadata == {"differing_fields": "store_id"}


async def test_a_key_is_free_until_its_call_is_recorded(till: Till, chain: Chain) -> None:
    """Refused for an unknown card, then enrolled: the same call under the same key applies."""
    request = accrue(0, card="fresh card")
    assert (await till.write(request)).reason == "MEMBER_NOT_FOUND"
    assert (await till.get_operation(request.idempotency_key)).reason == "OPERATION_NOT_FOUND"
    assert await chain.operation_count() == 0
    await chain.add_members([5_000], {"fresh card": 5_000})
    answer = await till.write(request)
    assert (answer.reason, answer.replayed) == ("", False)
    assert await till.get_operation(request.idempotency_key) == answer._replace(replayed=True)


async def test_a_key_of_one_chain_is_free_in_another(
    till: Till, server: Server, server_dsn: str, chain: Chain
) -> None:
    other = await new_chain(server_dsn)
    await other.add_members([1])
    request = accrue(1)
    async with Till(server.address, other.api_key) as other_till:
        first, second = await till.write(request), await other_till.write(request)
        assert (first.reason, first.replayed) == (second.reason, second.replayed) == ("", False)
        assert (await other_till.balance(1)).balance_points == 1
    assert (await chain.operation_count(), await other.operation_count()) == (1, 1)
