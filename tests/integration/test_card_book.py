"""Cards bring calls into their member's lane, also when the member was enrolled after the first call."""

import asyncio

import asyncpg

from processor.card_book import CardBook
from processor.domain.command import Command, Kind, Receipt, due_command
from storage.cards import PostgresCards
from tests.chains import new_chain


def by_card(card: str) -> Command:
    return Command(Kind.ACCRUE, "key", 0, card, 0, "store", "", Receipt("receipt", 100, ()), 0)


async def test_a_card_that_is_known_is_not_looked_up_again(database: str, pool: asyncpg.Pool) -> None:
    chain = await new_chain(database)
    await chain.add_members([7], {"card": 7})
    book, calls = CardBook(PostgresCards(pool)), [by_card("card")]
    assert book.must_learn(chain.chain_id, calls)
    await book.learn(chain.chain_id, calls)
    assert book.identity(chain.chain_id, calls[0]) == 7
    assert not book.must_learn(chain.chain_id, calls)
    assert book.must_learn(chain.chain_id + 1, calls)


async def test_a_card_of_nobody_is_left_alone_for_a_while(database: str, pool: asyncpg.Pool) -> None:
    chain = await new_chain(database)
    book, calls = CardBook(PostgresCards(pool), stranger_seconds=3_600), [by_card("stranger")]
    await book.learn(chain.chain_id, calls)
    assert not book.must_learn(chain.chain_id, calls)


async def test_a_member_enrolled_later_gets_one_lane(database: str, pool: asyncpg.Pool) -> None:
    chain = await new_chain(database)
    book, calls = CardBook(PostgresCards(pool), stranger_seconds=0), [by_card("new")]
    await book.learn(chain.chain_id, calls)
    assert book.identity(chain.chain_id, calls[0]) != 9
    await chain.add_members([9], {"new": 9})
    assert book.must_learn(chain.chain_id, calls)
    await book.learn(chain.chain_id, calls)
    assert book.identity(chain.chain_id, calls[0]) == 9


async def test_nobody_overtakes_those_who_wait_for_a_card(database: str, pool: asyncpg.Pool) -> None:
    """Neither while the card is looked up nor in the moment when the next one's turn comes."""
    chain = await new_chain(database)
    await chain.add_members([7], {"card": 7})
    book = CardBook(PostgresCards(pool))
    first = asyncio.create_task(book.learn(chain.chain_id, [by_card("card")]))
    await asyncio.sleep(0)
    second = asyncio.create_task(book.learn(chain.chain_id, [due_command(7)]))
    await asyncio.sleep(0)
    while not second.done():
        assert book.must_learn(chain.chain_id, [due_command(7)])
        await asyncio.sleep(0)
    assert first.done()
    assert not book.must_learn(chain.chain_id, [due_command(7)])
