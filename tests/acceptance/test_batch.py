"""Batches and streams: each operation by itself, each result in its place."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from loyalty.v1.transaction_service_pb2 import ProcessBatchRequest
from storage.pool import connect
from tests.chains import Chain
from tests.client import Till
from tests.requests import Write, accrue, checkout, redeem
from tests.server import Server

pytestmark = pytest.mark.xdist_group("server")

_WAITING: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_four_bad_operations_of_1000_fail_alone(till: Till, chain: Chain) -> None:
    used = accrue(1)
    assert not (await till.write(used)).reason
    batch: list[Write] = [accrue(number % 500 + 2) for number in range(1_000)]
    batch[7] = accrue(2, store_id="")
    batch[300] = accrue(999_999)
    batch[650] = redeem(900, 1)
    batch[999] = accrue(1, 20_000, idempotency_key=used.idempotency_key, occurred_at=used.occurred_at)
    answers = await till.batch(batch)
    assert len(answers) == 1_000
    errors = {number: answer for number, answer in enumerate(answers) if answer.reason}
    assert {number: answer.reason for number, answer in errors.items()} == {
        7: "INVALID_REQUEST",
        300: "MEMBER_NOT_FOUND",
        650: "INSUFFICIENT_POINTS",
        999: "IDEMPOTENCY_KEY_REUSED",
    }
    assert set(errors[7].violations) == {"store_id"}
    assert errors[650].metadata == {"available_points": "0", "balance_points": "0", "redeem_points": "1"}
    assert errors[999].metadata == {"differing_fields": "receipt.total_minor"}
    for request, answer in zip(batch, answers, strict=True):
        if not answer.reason:
            assert answer.operation.idempotency_key == request.idempotency_key
            assert not answer.replayed
    # The first call, 996 applied and the refusal that is recorded.
    assert await chain.operation_count() == 1 + 996 + 1
    again = await till.batch(batch)
    assert [(a.reason, a.body) for a in again] == [(a.reason, a.body) for a in answers]
    assert {number for number, answer in enumerate(again) if not answer.replayed} == {7, 300, 999}
    assert await chain.operation_count() == 1 + 996 + 1


@pytest.mark.parametrize("by_card", [False, True])
async def test_operations_of_one_member_apply_in_their_order(till: Till, chain: Chain, by_card: bool) -> None:  # noqa: FBT001
    """Only in this order does every redemption find its points; by card, member and card take turns."""
    batch: list[Write] = []
    for number in range(500):
        named: dict[str, Any] = {"card": "card-3"} if by_card and number % 3 else {}
        batch += [accrue(3, 50_000, **named), redeem(3, 5)]
    answers = await till.batch(batch)
    assert {answer.reason for answer in answers} == {""}
    assert [answer.operation.member_sequence for answer in answers] == list(range(1, 1_001))
    assert [answer.operation.balance_points for answer in answers] == [5, 0] * 500


async def test_a_key_of_another_member_brings_no_call_before_those_of_its_own(
    server: Server, chain: Chain
) -> None:
    """Members 3 and 5 share a lane, which waits for the row of 5; the unknown one and 4 have the other."""
    unknown = accrue(999_998)
    batch: list[Write] = [accrue(3), unknown, accrue(3, idempotency_key=unknown.idempotency_key)]
    async with Till(server.address, chain.api_key) as till:
        # The first write of a chain locks more than its member.
        assert not (await till.write(accrue(4))).reason
        async with _locked(chain, member_id=5) as is_anyone_waiting:
            locked = asyncio.create_task(till.write(accrue(5)))
            while not await is_anyone_waiting():
                assert not locked.done()
            answers = asyncio.create_task(till.batch(batch))
            other_lane = asyncio.create_task(till.write(accrue(4)))
            assert not (await other_lane).reason
            assert not locked.done()
        first, refused, last = await answers
        assert not (await locked).reason
    assert refused.reason == "MEMBER_NOT_FOUND"
    assert [first.operation.member_sequence, last.operation.member_sequence] == [1, 2]


@asynccontextmanager
async def _locked(chain: Chain, member_id: int) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Hold the lock of an account; what it yields tells whether anybody waits for one."""
    connection = await connect(chain.dsn)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT 1 FROM account WHERE chain_id = $1 AND member_id = $2 FOR UPDATE",
                chain.chain_id,
                member_id,
            )

            async def is_anyone_waiting() -> bool:
                return bool(await connection.fetchval(_WAITING))

            yield is_anyone_waiting
    finally:
        await connection.close()


async def test_equal_keys_in_one_batch_are_as_two_calls(till: Till, chain: Chain) -> None:
    first = accrue(1)
    for_another = accrue(2, idempotency_key=first.idempotency_key)
    refused = redeem(4, 9)
    answers = await till.batch([first, for_another, first, refused, accrue(4, 90_000), refused])
    assert [(answer.reason, answer.replayed) for answer in answers] == [
        ("", False),
        ("IDEMPOTENCY_KEY_REUSED", False),
        ("", True),
        ("INSUFFICIENT_POINTS", False),
        ("", False),
        ("INSUFFICIENT_POINTS", True),
    ]
    assert answers[2].body == answers[0].body
    assert answers[5].body == answers[3].body


@pytest.mark.parametrize("size", [1, 10, 100])
async def test_a_stream_answers_every_message_in_its_order(till: Till, chain: Chain, size: int) -> None:
    operations: list[Write] = [checkout(number % 7 + 1, 0, 40_000) for number in range(1_000)]
    messages = [operations[start : start + size] for start in range(0, 1_000, size)]
    responses = await till.stream(messages)
    expected = {tuple(request.idempotency_key for request in message) for message in messages}
    assert {tuple(key for key, _ in response) for response in responses} == expected
    answers = {key: answer for response in responses for key, answer in response}
    assert {(answer.reason, answer.replayed) for answer in answers.values()} == {("", False)}
    # One member's operations in the order in which they were sent.
    for member_id in range(1, 8):
        sent = [r.idempotency_key for r in operations if r.member_id == member_id]
        sequences = [answers[key].operation.member_sequence for key in sent]
        assert sequences == list(range(1, len(sent) + 1))
    assert await chain.operation_count() == 1_000


async def test_an_invalid_item_of_a_stream_fails_alone(till: Till, chain: Chain) -> None:
    good, bad = accrue(1), accrue(1, store_id="")
    [response] = await till.stream([[good, bad]])
    assert [(key, answer.reason) for key, answer in response] == [
        (good.idempotency_key, ""),
        (bad.idempotency_key, "INVALID_REQUEST"),
    ]


@pytest.mark.parametrize("size", [0, 1_001])
async def test_a_batch_of_no_or_too_many_operations_is_refused_whole(
    till: Till, chain: Chain, size: int
) -> None:
    request = ProcessBatchRequest()
    for _ in range(size):
        request.operations.add().accrue.CopyFrom(accrue(1))
    answer = await till.call("ProcessBatch", request.SerializeToString())
    assert answer.reason == "INVALID_REQUEST"
    assert set(answer.violations) == {"operations"}
    assert await chain.operation_count() == 0
