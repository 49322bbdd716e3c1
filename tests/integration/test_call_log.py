"""The log of calls: what became of which, and never who the customer is."""

import asyncio
import json

import grpc
import pytest

from loyalty.v1.member_service_pb2 import EnrolMemberRequest
from loyalty.v1.member_service_pb2_grpc import MemberServiceStub
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub
from tests.chains import Chain, new_chain
from tests.requests import accrue, redeem
from tests.server import Server, eventually, in_thread, serving

CARD = "card-4711"
PHONE = "+491701234567"


async def logged_calls(
    database: str, log_calls: str, lines_expected: int
) -> tuple[Chain, list[dict[str, object]]]:
    """The lines of three calls: an accrual, a refusal, a call without an API key."""
    chain = await new_chain(database)
    await chain.add_members([1], {CARD: 1})
    metadata = (("authorization", f"Bearer {chain.api_key}"), ("x-request-id", "till-9"))
    async with (
        in_thread(serving(database, log_calls=log_calls)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = TransactionServiceStub(channel)
        await stub.Accrue(accrue(1, 10_000, card=CARD, idempotency_key="sale-1"), metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Redeem(redeem(1, 5_000, card=CARD, idempotency_key="sale-2"), metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Accrue(accrue(1, 10_000, idempotency_key="sale-3"))
        # A line is written after the caller has its reply.
        await asyncio.to_thread(eventually, lambda: len(call_lines(server)) >= lines_expected)
        assert CARD not in server.log()
        return chain, call_lines(server)


def call_lines(server: Server) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "call"]


async def test_every_call_has_a_line_if_all_are_logged(database: str) -> None:
    chain, lines = await logged_calls(database, "all", 3)
    told = [(line["method"], line["chain"], line["key"], line["request_id"]) for line in lines]
    assert told == [
        ("Accrue", chain.name, "sale-1", "till-9"),
        ("Redeem", chain.name, "sale-2", "till-9"),
        ("Accrue", None, None, None),  # nobody reads what a stranger sends
    ]
    assert [line["outcome"] for line in lines] == ["APPLIED", "INSUFFICIENT_POINTS", "API_KEY_MISSING"]


async def test_failures_alone_have_a_line_by_default(database: str) -> None:
    _, lines = await logged_calls(database, "failures", 2)
    assert [line["key"] for line in lines] == ["sale-2", None]


@pytest.mark.parametrize(
    "key, logged",
    [
        ("till-4111111111111111-0001", "till-***1111-0001"),
        ("4006381333931", "***3931"),
        ("4111 1111-1111 1111", "***1111"),
        ("sale-20261122-103015-000042", "sale-20261122-103015-000042"),
    ],
)
async def test_of_a_cards_number_in_a_key_only_the_end_is_logged(
    database: str, key: str, logged: str
) -> None:
    chain = await new_chain(database)
    metadata = (("authorization", f"Bearer {chain.api_key}"), ("x-request-id", key))
    async with (
        in_thread(serving(database, log_calls="all")) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await TransactionServiceStub(channel).Accrue(accrue(1, idempotency_key=key), metadata=metadata)
        await asyncio.to_thread(eventually, lambda: len(call_lines(server)) >= 1)
        assert [(line["key"], line["request_id"]) for line in call_lines(server)] == [(logged, logged)]


async def test_a_phone_number_is_nowhere_in_the_log(database: str) -> None:
    """Neither as the member's, nor in a key that a till has made of it."""
    chain = await new_chain(database)
    metadata = (("authorization", f"Bearer {chain.api_key}"),)
    async with (
        in_thread(serving(database, log_calls="all")) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        till, members = TransactionServiceStub(channel), MemberServiceStub(channel)
        await members.EnrolMember(EnrolMemberRequest(phone=PHONE), metadata=metadata)
        sale = accrue(1, phone=PHONE, idempotency_key=f"sale-{PHONE}")
        await till.Accrue(sale, metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError):
            await members.EnrolMember(EnrolMemberRequest(phone=f"{PHONE}x"), metadata=metadata)
        await asyncio.to_thread(eventually, lambda: len(call_lines(server)) >= 3)
        assert [line["method"] for line in call_lines(server)] == ["EnrolMember", "Accrue", "EnrolMember"]
        assert call_lines(server)[1]["key"] == "sale-***"
        assert PHONE.removeprefix("+") not in server.log()
