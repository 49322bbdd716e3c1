"""What becomes of cards, by the owner of the tables and by the service."""

import asyncio

import asyncpg
import pytest

from processor.domain.account import CardStatus
from storage.cards import Card, add_card, cards_of, replace_card, set_card_status
from storage.members import Member, MemberError, add_members
from tests.history import add_chain

OPEN, BLOCKED, REPLACED = CardStatus


@pytest.fixture
async def chain_id(owner: asyncpg.Connection) -> int:
    """A chain with two members, and another chain where somebody has the same card."""
    chain_id = await add_chain(owner, "corner-shop")
    await add_members(owner, chain_id, [Member(1, "card-1"), Member(2, "card-2")])
    await add_members(owner, await add_chain(owner, "other-shop"), [Member(9, "card-1")])
    return chain_id


@pytest.fixture(params=["owner", "pool"])
def connection(request: pytest.FixtureRequest) -> asyncpg.Connection | asyncpg.Pool:
    """Either of those who may."""
    connection: asyncpg.Connection | asyncpg.Pool = request.getfixturevalue(request.param)
    return connection


async def test_a_card_is_added_once(
    connection: asyncpg.Connection, owner: asyncpg.Connection, chain_id: int
) -> None:
    for _ in range(2):
        assert await add_card(connection, chain_id, 1, "+491701234567") == Card("+491701234567", 1, OPEN)
    assert [card.card for card in await cards_of(owner, chain_id, 1)] == ["+491701234567", "card-1"]
    with pytest.raises(MemberError, match="card card-2 belongs to member 2"):
        await add_card(connection, chain_id, 1, "card-2")
    with pytest.raises(MemberError, match="there is no member 3"):
        await add_card(connection, chain_id, 3, "card-3")
    with pytest.raises(MemberError, match="a card has 1 to 64 characters, not 65"):
        await add_card(connection, chain_id, 1, "c" * 65)


async def test_a_card_is_blocked_and_unblocked(
    connection: asyncpg.Connection, owner: asyncpg.Connection, chain_id: int
) -> None:
    for status in (BLOCKED, BLOCKED, OPEN, OPEN):
        assert await set_card_status(connection, chain_id, "card-1", status) == Card("card-1", 1, status)
        assert await owner.fetchval("SELECT status FROM card WHERE member_id = 1") == status
    assert await owner.fetchval("SELECT status FROM card WHERE member_id = 9") == OPEN
    with pytest.raises(MemberError, match="there is no card card-9"):
        await set_card_status(connection, chain_id, "card-9", BLOCKED)


async def test_a_card_is_replaced_also_by_the_same_call_again(
    connection: asyncpg.Connection, owner: asyncpg.Connection, chain_id: int
) -> None:
    await set_card_status(connection, chain_id, "card-1", BLOCKED)
    for _ in range(2):
        assert await replace_card(connection, chain_id, "card-1", "new-1") == Card("new-1", 1, OPEN)
    assert await cards_of(owner, chain_id, 1) == [Card("card-1", 1, REPLACED), Card("new-1", 1, OPEN)]
    for status in (BLOCKED, OPEN):
        with pytest.raises(MemberError, match="card card-1 was replaced: it stays so"):
            await set_card_status(connection, chain_id, "card-1", status)


async def test_a_card_is_replaced_by_one_that_the_member_has(
    connection: asyncpg.Connection, chain_id: int
) -> None:
    await add_card(connection, chain_id, 1, "card-1b")
    assert await replace_card(connection, chain_id, "card-1", "card-1b") == Card("card-1b", 1, OPEN)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("card-1", "card-1", "can't be replaced by itself"),
        ("card-9", "new-1", "there is no card card-9"),
        ("card-1", "card-2", "card card-2 belongs to member 2"),
        ("card-1", "blocked", "card blocked is blocked"),
        ("gone", "new-1", "card gone was replaced before, by another card than new-1"),
        ("card-1", "c" * 65, "a card has 1 to 64 characters, not 65"),
    ],
)
async def test_a_replacement_that_cannot_be_changes_nothing(
    old: str, new: str, message: str, connection: asyncpg.Connection, owner: asyncpg.Connection, chain_id: int
) -> None:
    for card, status in (("blocked", BLOCKED), ("gone", REPLACED)):
        await add_card(owner, chain_id, 1, card)
        await owner.execute("UPDATE card SET status = $1 WHERE card = $2", status, card)
    before = await owner.fetch("SELECT * FROM card ORDER BY chain_id, card")
    with pytest.raises(MemberError, match=message):
        await replace_card(connection, chain_id, old, new)
    assert await owner.fetch("SELECT * FROM card ORDER BY chain_id, card") == before


async def test_two_replacements_at_once_leave_one(
    pool: asyncpg.Pool, owner: asyncpg.Connection, chain_id: int
) -> None:
    ended = await asyncio.gather(
        *(replace_card(pool, chain_id, "card-1", f"new-{number}") for number in range(2)),
        return_exceptions=True,
    )
    assert sorted(isinstance(each, MemberError) for each in ended) == [False, True]
    assert [card.status for card in await cards_of(owner, chain_id, 1)] == [REPLACED, OPEN]
