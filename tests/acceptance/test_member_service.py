"""Members at the till: enrolled, known by cards and phones, blocked, replaced; each any number of times."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from loyalty.v1.member_service_pb2 import (
    CARD_STATUS_BLOCKED,
    CARD_STATUS_OPEN,
    CARD_STATUS_REPLACED,
    MEMBER_STATUS_OPEN,
    AddCardRequest,
    BlockCardRequest,
    EnrolMemberRequest,
    GetMemberRequest,
    Member,
    ReplaceCardRequest,
    UnblockCardRequest,
)
from loyalty.v1.member_service_pb2_grpc import MemberServiceStub
from tests.chains import Chain, new_chain
from tests.client import Till
from tests.requests import accrue, redeem
from tests.server import Server
from tests.unit.rpc_harness import failure

pytestmark = pytest.mark.xdist_group("server")

PHONE = "+491701234567"


class Desk:
    """Calls of MemberService in the name of a chain."""

    def __init__(self, channel: grpc.aio.Channel, api_key: str) -> None:
        self._stub: Any = MemberServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {api_key}"),)

    async def call(self, request: Any) -> Member:
        method = getattr(self._stub, type(request).__name__.removesuffix("Request"))
        member: Member = await method(request, metadata=self._metadata)
        return member

    async def refused(self, request: Any) -> str:
        return (await failure(self.call(request))).reason


@pytest.fixture
async def desk(server: Server, chain: Chain) -> AsyncIterator[Desk]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield Desk(channel, chain.api_key)


def cards(member: Member) -> dict[str, int]:
    return {card.card: card.status for card in member.cards}


async def test_a_member_is_enrolled_once(desk: Desk, till: Till) -> None:
    member = await desk.call(EnrolMemberRequest(phone=PHONE))
    assert (member.status, cards(member), list(member.segments)) == (
        MEMBER_STATUS_OPEN,
        {PHONE: CARD_STATUS_OPEN},
        [],
    )
    for request in (
        EnrolMemberRequest(phone=PHONE),
        EnrolMemberRequest(card=PHONE),
        GetMemberRequest(phone=PHONE),
        GetMemberRequest(member_id=member.member_id),
    ):
        assert await desk.call(request) == member
    answer = await till.write(accrue(0, 50_000, phone=PHONE))
    assert (answer.operation.member_id, answer.operation.earned_points) == (member.member_id, 5)


async def test_many_who_enrol_one_card_at_once_make_one_member(desk: Desk) -> None:
    members = await asyncio.gather(*[desk.call(EnrolMemberRequest(card="new-card")) for _ in range(50)])
    assert len({member.member_id for member in members}) == 1


async def test_a_member_has_any_number_of_cards(desk: Desk) -> None:
    for _ in range(2):
        member = await desk.call(AddCardRequest(card="card-7", new_phone=PHONE))
        assert (member.member_id, cards(member)) == (
            7,
            {PHONE: CARD_STATUS_OPEN, "card-7": CARD_STATUS_OPEN},
        )
    assert await desk.refused(AddCardRequest(member_id=8, new_phone=PHONE)) == "CARD_TAKEN"
    assert await desk.refused(AddCardRequest(member_id=5_000, new_card="x")) == "MEMBER_NOT_FOUND"


async def test_a_card_is_blocked_and_unblocked(desk: Desk, till: Till) -> None:
    assert not (await till.write(accrue(0, 1_000_000, card="card-3"))).reason
    for _ in range(2):
        assert cards(await desk.call(BlockCardRequest(card="card-3"))) == {"card-3": CARD_STATUS_BLOCKED}
    assert (await till.write(redeem(0, 10, card="card-3"))).reason == "CARD_BLOCKED"
    assert not (await till.write(accrue(0, card="card-3"))).reason
    for _ in range(2):
        assert cards(await desk.call(UnblockCardRequest(card="card-3"))) == {"card-3": CARD_STATUS_OPEN}
    assert not (await till.write(redeem(0, 10, card="card-3"))).reason
    for request in (BlockCardRequest(card="nobody"), UnblockCardRequest(phone=PHONE)):
        assert await desk.refused(request) == "MEMBER_NOT_FOUND"


async def test_a_card_is_replaced_by_one_other(desk: Desk, till: Till) -> None:
    assert not (await till.write(accrue(0, 1_000_000, card="card-4"))).reason
    for _ in range(2):
        member = await desk.call(ReplaceCardRequest(card="card-4", new_card="card-4b"))
        assert cards(member) == {"card-4": CARD_STATUS_REPLACED, "card-4b": CARD_STATUS_OPEN}
    assert (await till.write(accrue(0, card="card-4"))).reason == "CARD_REPLACED"
    assert (await till.write(redeem(0, 10, card="card-4b"))).operation.member_id == 4
    for request in (
        ReplaceCardRequest(card="card-4", new_card="card-4c"),
        BlockCardRequest(card="card-4"),
        UnblockCardRequest(card="card-4"),
        EnrolMemberRequest(card="card-4"),
        AddCardRequest(member_id=4, new_card="card-4"),
        ReplaceCardRequest(card="card-4b", new_card="card-4"),
    ):
        assert await desk.refused(request) == "CARD_REPLACED"
    assert await desk.refused(ReplaceCardRequest(card="card-4b", new_card="card-5")) == "CARD_TAKEN"
    assert await desk.refused(ReplaceCardRequest(card="nobody", new_card="x")) == "MEMBER_NOT_FOUND"


async def test_a_blocked_card_takes_nobodys_place(desk: Desk) -> None:
    await desk.call(AddCardRequest(member_id=6, new_card="card-6b"))
    await desk.call(BlockCardRequest(card="card-6b"))
    assert await desk.refused(ReplaceCardRequest(card="card-6", new_card="card-6b")) == "CARD_BLOCKED"
    member = await desk.call(GetMemberRequest(card="card-6"))
    assert cards(member) == {"card-6": CARD_STATUS_OPEN, "card-6b": CARD_STATUS_BLOCKED}


async def test_who_has_left_gets_no_card(desk: Desk, chain: Chain) -> None:
    await chain.query("UPDATE account SET status = 1 WHERE chain_id = $1 AND member_id = 9")
    for request in (
        AddCardRequest(member_id=9, new_card="x"),
        ReplaceCardRequest(card="card-9", new_card="x"),
    ):
        assert await desk.refused(request) == "MEMBER_CLOSED"


async def test_a_chain_sees_its_own_members_alone(server: Server, server_dsn: str, chain: Chain) -> None:
    other = await new_chain(server_dsn)
    await chain.add_members([2_000], {"same-card": 2_000})
    async with grpc.aio.insecure_channel(server.address) as channel:
        desk = Desk(channel, other.api_key)
        for request in (GetMemberRequest(member_id=1), GetMemberRequest(card="card-1")):
            assert await desk.refused(request) == "MEMBER_NOT_FOUND"
        assert (await desk.call(EnrolMemberRequest(card="same-card"))).member_id != 2_000
