"""Members and their cards."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from processor.domain.account import Account, MemberStatus
from processor.domain.member import Holder
from storage.members import (
    Added,
    Member,
    MemberError,
    add_members,
    count_members,
    enrol_member,
    find_member,
    set_member_status,
    set_segments,
)
from storage.pool import connect
from storage.reads import PostgresReader
from tests.history import add_chain


@pytest.fixture
async def chain_id(owner: asyncpg.Connection) -> int:
    return await add_chain(owner, "corner-shop")


async def test_one_member_with_a_card(owner: asyncpg.Connection, pool: asyncpg.Pool, chain_id: int) -> None:
    assert await add_members(owner, chain_id, [Member(7, "card-7")]) == Added(1, 1, 0)
    reader = PostgresReader(pool)
    assert await reader.holder(chain_id, 7, "") == Holder(Account(7, 0, 0, b""), 0)
    assert await reader.resolve(chain_id, 0, "card-7") == 7


async def test_many_members_are_added_once(owner: asyncpg.Connection, chain_id: int) -> None:
    def members() -> Iterator[Member]:
        return (Member(number % 500 + 1, f"card-{number}") for number in range(1000))

    assert await add_members(owner, chain_id, members()) == Added(500, 1000, 0)
    assert await add_members(owner, chain_id, members()) == Added(0, 0, 0)
    assert await add_members(owner, chain_id, [Member(500), Member(501), Member(501)]) == Added(1, 0, 0)
    other_chain_id = await add_chain(owner, "other-shop")
    assert await add_members(owner, other_chain_id, [Member(1, "card-0")]) == Added(1, 1, 0)
    assert await count_members(owner) == {"corner-shop": 501, "other-shop": 1}


async def test_a_card_stays_with_its_member(owner: asyncpg.Connection, chain_id: int) -> None:
    await add_members(owner, chain_id, [Member(1, "card-1")])
    assert await add_members(owner, chain_id, [Member(2, "card-1"), Member(2, "card-2")]) == Added(1, 1, 1)
    assert await owner.fetchval("SELECT member_id FROM card WHERE card = 'card-1'") == 1


@pytest.mark.parametrize(
    "member", [Member(0), Member(-1), Member(2**63), Member(2, "x" * 65), Member(2, "nul\0")]
)
async def test_one_bad_member_adds_none(member: Member, owner: asyncpg.Connection, chain_id: int) -> None:
    with pytest.raises(MemberError, match=r"^a member_id is 1 to 9223372036854775807 and a card at most 64"):
        await add_members(owner, chain_id, [Member(1), member])
    assert await count_members(owner) == {"corner-shop": 0}


async def test_the_same_members_added_at_once(
    database: str, owner: asyncpg.Connection, chain_id: int
) -> None:
    other = await connect(database)
    members = [Member(number, f"card-{number}") for number in range(1, 2000)]
    added = await asyncio.gather(
        add_members(owner, chain_id, members), add_members(other, chain_id, reversed(members))
    )
    await other.close()
    assert sum(each.members for each in added) == sum(each.cards for each in added) == 1999


async def test_a_member_is_enrolled_under_a_number_of_nobodys(
    owner: asyncpg.Connection, pool: asyncpg.Pool, chain_id: int
) -> None:
    first = await enrol_member(owner, chain_id, "card-1")
    await add_members(owner, chain_id, [Member(first + 1)])
    assert await enrol_member(pool, chain_id, "card-2") == first + 2
    with pytest.raises(MemberError, match="card card-1 belongs to a member already"):
        await enrol_member(pool, chain_id, "card-1")
    assert await count_members(owner) == {"corner-shop": 3}


async def test_a_member_is_closed_and_reopened(owner: asyncpg.Connection, chain_id: int) -> None:
    await add_members(owner, chain_id, [Member(1), Member(2)])
    for status in (MemberStatus.CLOSED, MemberStatus.CLOSED, MemberStatus.OPEN):
        await set_member_status(owner, chain_id, 1, status)
        assert (await find_member(owner, chain_id, 1)).status == status
        assert (await find_member(owner, chain_id, 2)).status == MemberStatus.OPEN
    with pytest.raises(MemberError, match="there is no member 3"):
        await set_member_status(owner, chain_id, 3, MemberStatus.CLOSED)
    with pytest.raises(MemberError, match="there is no member 3"):
        await find_member(owner, chain_id, 3)


async def test_members_are_put_into_segments_all_or_none(owner: asyncpg.Connection, chain_id: int) -> None:
    await add_members(owner, chain_id, [Member(number) for number in range(1, 4)])
    assert await set_segments(owner, chain_id, {1: {"vip", "staff"}, 2: {"vip"}, 3: set()}) == 2
    assert await set_segments(owner, chain_id, {1: {"staff", "vip"}, 2: set()}) == 1
    missing = {1: {"gone"}, **{number: {"vip"} for number in range(10, 17)}}
    with pytest.raises(MemberError, match=r"no member 10, 11, 12, 13, 14 \(and 2 more are missing\)$"):
        await set_segments(owner, chain_id, missing)
    segments = [(await find_member(owner, chain_id, number)).segments for number in range(1, 4)]
    assert segments == ["staff,vip", "", ""]
