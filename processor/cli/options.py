"""Options and arguments that several commands have, and what they lead to."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from processor.config import load_settings
from processor.domain.limits import IDENTIFIER_CHARS_MAX, MEMBER_ID_MAX
from storage.owner import Connection, owner_connection

Result = TypeVar("Result")

Dsn = Annotated[
    str | None,
    typer.Option(
        help="PostgreSQL: postgresql://user:password@host:port/database \\[LOYALTY_DSN]",
        show_default=False,
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Variables, a line each; those of the environment win. `serve` reads it again at SIGHUP.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ChainName = Annotated[str, typer.Argument(metavar="CHAIN", help="The chain's name.", show_default=False)]
MemberId = Annotated[
    int,
    typer.Argument(
        metavar="MEMBER_ID", min=1, max=MEMBER_ID_MAX, help="The member's number.", show_default=False
    ),
]


def check_identifier(name: str, text: str) -> None:
    """Refuse what no till can have sent as a key or card, as wrong usage."""
    if not 1 <= len(text) <= IDENTIFIER_CHARS_MAX or not text.isprintable():
        raise typer.BadParameter(
            f"{name} must be 1 to {IDENTIFIER_CHARS_MAX} printable characters, not {text!r}"
        )


def resolve_dsn(dsn: str | None) -> str:
    """The DSN of the flag or of the environment. Raises ConfigError if there is none."""
    return load_settings(dsn=dsn).dsn.get_secret_value()


def as_owner(dsn: str | None, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Do some work over one connection of the owner."""

    async def connect_and_work() -> Result:
        async with owner_connection(resolve_dsn(dsn)) as connection:
            return await work(connection)

    return asyncio.run(connect_and_work())
