"""`card`: what members identify themselves with at the till."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from processor.cli.options import AsJson, ChainName, Dsn, MemberId, as_owner, check_identifier
from processor.cli.output import print_json, print_line
from processor.domain.account import CardStatus
from storage.cards import Card, add_card, replace_card, set_card_status
from storage.directory import find_chain
from storage.owner import Connection

app = typer.Typer(no_args_is_help=True, help="Cards of members; a phone number (+491701234567) is one too.")

CardName = Annotated[
    str, typer.Argument(metavar="CARD", help="The card, or a phone number.", show_default=False)
]


@app.command()
def add(
    chain: ChainName, member_id: MemberId, card: CardName, dsn: Dsn = None, *, as_json: AsJson = False
) -> None:
    """Give a member one more card."""
    check_identifier("CARD", card)
    added = _change(chain, dsn, lambda connection, chain_id: add_card(connection, chain_id, member_id, card))
    _show(added, f"Card {card} belongs to member {member_id}.", as_json=as_json)


@app.command()
def block(chain: ChainName, card: CardName, dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """Block a lost card: it can't be paid with any more; what it earns still counts."""
    _show(
        _set_status(chain, card, CardStatus.BLOCKED, dsn),
        f"Card {card} is blocked; lift it with: loyalty-processor card unblock {chain} {card}",
        as_json=as_json,
    )


@app.command()
def unblock(chain: ChainName, card: CardName, dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """Let a blocked card be used again."""
    found = _set_status(chain, card, CardStatus.OPEN, dsn)
    _show(found, f"Card {card} can be used.", as_json=as_json)


@app.command()
def replace(
    chain: ChainName,
    card: CardName,
    new_card: Annotated[
        str, typer.Argument(metavar="NEW_CARD", help="The card in its place.", show_default=False)
    ],
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Give a member another card in the place of one, which is of no use from then on."""
    check_identifier("NEW_CARD", new_card)
    found = _change(
        chain, dsn, lambda connection, chain_id: replace_card(connection, chain_id, card, new_card)
    )
    _show(found, f"Card {new_card} of member {found.member_id} replaces {card}.", as_json=as_json)


def _set_status(chain: str, card: str, status: CardStatus, dsn: str | None) -> Card:
    return _change(
        chain, dsn, lambda connection, chain_id: set_card_status(connection, chain_id, card, status)
    )


def _change(chain: str, dsn: str | None, work: Callable[[Connection, int], Awaitable[Card]]) -> Card:
    """Do something to a card of a chain."""

    async def find_and_work(connection: Connection) -> Card:
        return await work(connection, await find_chain(connection, chain))

    return as_owner(dsn, find_and_work)


def _show(card: Card, line: str, *, as_json: bool) -> None:
    if as_json:
        print_json(card_as_dict(card))
    else:
        print_line(line)


def card_as_dict(card: Card) -> dict[str, object]:
    """For JSON."""
    return {"card": card.card, "member_id": card.member_id, "status": card.status.name.lower()}
