"""Members who come to be by using a card, where the program says so."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from processor.domain.program_document import DEFAULT_PROGRAM
from tests.chains import Chain, new_chain
from tests.client import Till, Write
from tests.requests import accrue, hold, redeem
from tests.server import Server

pytestmark = pytest.mark.xdist_group("server")

NEW: dict[str, Any] = {"card": "new-card"}


@pytest.fixture
async def chain(server_dsn: str) -> Chain:
    """A chain without members."""
    return await new_chain(server_dsn, document={**DEFAULT_PROGRAM, "members": {"enrol_on_first_use": True}})


@pytest.fixture
async def till(server: Server, chain: Chain) -> AsyncIterator[Till]:
    async with Till(server.address, chain.api_key, connections=8) as till:
        yield till


async def test_64_first_uses_of_a_card_at_once_make_one_member(till: Till, chain: Chain) -> None:
    answers = await asyncio.gather(*(till.write(accrue(0, **NEW)) for _ in range(64)))

    assert {answer.reason for answer in answers} == {""}
    assert len({answer.operation.member_id for answer in answers}) == 1
    assert sorted(answer.operation.balance_points for answer in answers) == list(range(1, 65))
    [members] = await chain.query("SELECT count(*) FROM account WHERE chain_id = $1")
    assert members[0] == 1


async def test_what_comes_before_the_first_use_in_a_batch_finds_nobody(till: Till, chain: Chain) -> None:
    calls: list[Write] = [redeem(0, 5, **NEW), hold(0, 5, **NEW), accrue(0, **NEW), redeem(0, 1, **NEW)]
    answers = await till.batch(calls)

    reasons = [answer.reason for answer in answers]
    assert reasons == ["MEMBER_NOT_FOUND", "MEMBER_NOT_FOUND", "", ""]
    assert await chain.operation_count() == 2
    # Nothing of it was recorded, so the key is free.
    assert (await till.write(calls[0])).reason == "INSUFFICIENT_POINTS"
