"""`member`: whose points they are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from processor.cli.member_file import read_members
from processor.cli.options import AsJson, ChainName, Dsn, as_owner, check_identifier
from processor.cli.output import print_json, print_line, progress
from processor.domain.limits import MEMBER_ID_MAX
from storage.directory import find_chain
from storage.members import Added, Member, add_members
from storage.owner import Connection

app = typer.Typer(no_args_is_help=True, help="Members of a chain and their cards.")


@app.command()
def add(
    chain: ChainName,
    member_id: Annotated[
        int,
        typer.Argument(
            metavar="MEMBER_ID", min=1, max=MEMBER_ID_MAX, help="The member's number.", show_default=False
        ),
    ],
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
