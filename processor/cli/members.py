"""`member`: whose points they are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from processor.cli.cards import card_as_dict
from processor.cli.member_file import is_segment, read_members, read_segments
from processor.cli.options import AsJson, ChainName, Dsn, MemberId, as_owner, check_identifier
from processor.cli.output import print_fields, print_json, print_line, progress
from processor.domain.account import MemberStatus
from processor.domain.limits import IDENTIFIER_CHARS_MAX, MEMBER_ID_MAX
from processor.domain.state import decode_state
from storage.cards import cards_of
from storage.directory import find_chain
from storage.members import (
    Added,
    Member,
    add_members,
    enrol_member,
    find_member,
    set_member_status,
    set_segments,
)
from storage.owner import Connection

app = typer.Typer(no_args_is_help=True, help="Members of a chain and their cards.")


@app.command()
def add(
    chain: ChainName,
    member_id: MemberId,
    card: Annotated[list[str] | None, typer.Option(help="A card of the member; may be repeated.")] = None,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add a member, or cards to a member."""
    for text in card or []:
        check_identifier("--card", text)
    _add(chain, [Member(member_id, text) for text in card or [""]], dsn, as_json=as_json)


@app.command("import")
def add_file(
    chain: ChainName,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV below the header member_id,card.", show_default=False),
    ],
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add the members and cards of a CSV file, all or none; those that exist stay as they are."""
    _add(chain, read_members(file), dsn, as_json=as_json)


def _add(chain: str, members: Sequence[Member], dsn: str | None, *, as_json: bool) -> None:
    async def work(connection: Connection) -> Added:
        chain_id = await find_chain(connection, chain)
        return await add_members(connection, chain_id, _shown(members))

    added = as_owner(dsn, work)
    if as_json:
        print_json(added._asdict())
        return
    print_line(f"Added {added.members:,} members and {added.cards:,} cards; what was there stays.")
    if added.taken_cards:
        print_line(f"{added.taken_cards:,} cards belong to other members and stay with them.")


def _shown(members: Sequence[Member]) -> Iterator[Member]:
    """The members, behind a progress bar."""
    with progress() as bar:
        yield from bar.track(members, description="Adding members")


@app.command()
def enrol(
    chain: ChainName,
    card: Annotated[str, typer.Argument(metavar="CARD", help="The member's card.", show_default=False)],
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add a member with a card, and give it a number."""
    check_identifier("CARD", card)

    async def work(connection: Connection) -> int:
        return await enrol_member(connection, await find_chain(connection, chain), card)

    member_id = as_owner(dsn, work)
    if as_json:
        print_json({"member_id": member_id, "card": card})
    else:
        print_line(f"Card {card} belongs to the new member {member_id}.")


@app.command()
def show(chain: ChainName, member_id: MemberId, dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """Show a member: points, segments and cards."""

    async def work(connection: Connection) -> dict[str, Any]:
        chain_id = await find_chain(connection, chain)
        account = await find_member(connection, chain_id, member_id)
        state = decode_state(account.state)
        cards = await cards_of(connection, chain_id, member_id)
        return {
            "member_id": account.member_id,
            "status": MemberStatus(account.status).name.lower(),
            "balance_points": account.balance_points,
            "available_points": state.available_points(account.balance_points),
            "held_points": state.held_points,
            "pending_points": state.pending_points,
            "segments": account.segments.split(",") if account.segments else [],
            "cards": [card_as_dict(card) for card in cards],
        }

    print_fields(as_owner(dsn, work), as_json=as_json)


@app.command()
def close(chain: ChainName, member_id: MemberId, dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """Close a member: every call for it is refused until it is reopened, and its points stay."""
    _set_status(chain, member_id, MemberStatus.CLOSED, dsn, as_json=as_json)


@app.command()
def reopen(chain: ChainName, member_id: MemberId, dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """Reopen a closed member."""
    _set_status(chain, member_id, MemberStatus.OPEN, dsn, as_json=as_json)


def _set_status(chain: str, member_id: int, status: MemberStatus, dsn: str | None, *, as_json: bool) -> None:
    async def work(connection: Connection) -> None:
        await set_member_status(connection, await find_chain(connection, chain), member_id, status)

    as_owner(dsn, work)
    name = status.name.lower()
    if as_json:
        print_json({"member_id": member_id, "status": name})
    else:
        print_line(f"Member {member_id} is {name}.")


@app.command("segments")
def put_into_segments(
    chain: ChainName,
    member_id: Annotated[
        int | None, typer.Option(min=1, max=MEMBER_ID_MAX, help="The member's number.", show_default=False)
    ] = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="A segment of the member; may be repeated.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Or a CSV file below the header member_id,segment.", show_default=False),
    ] = None,
    dsn: Dsn = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="Take the member out of all segments.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a member, or those of a file, into these segments and no others; all or none."""
    wanted = _wanted_segments(member_id, segment or [], file, none=none)

    async def work(connection: Connection) -> int:
        return await set_segments(connection, await find_chain(connection, chain), wanted)

    changed = as_owner(dsn, work)
    if as_json:
        print_json({"members": len(wanted), "changed": changed})
    else:
        print_line(f"{changed:,} of {len(wanted):,} members are in other segments now.")


def _wanted_segments(
    member_id: int | None, segments: Sequence[str], file: Path | None, *, none: bool
) -> dict[int, set[str]]:
    """By the members' numbers. Raises BadParameter unless the options say one thing."""
    if (member_id is None) == (file is None):
        raise typer.BadParameter("name the member by --member-id, or many by --file")
    if bool(segments) + none + (file is not None) != 1:
        raise typer.BadParameter("name the segments by --segment, or by --file, or say --none")
    for text in segments:
        if not is_segment(text):
            raise typer.BadParameter(
                f"--segment must be 1 to {IDENTIFIER_CHARS_MAX} printable characters, no comma, not {text!r}"
            )
    return read_segments(file) if file else {member_id or 0: set(segments)}
