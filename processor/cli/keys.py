"""`key`: what tills identify themselves with."""

from typing import Annotated

import typer

from processor.cli.options import AsJson, ChainName, Dsn, as_owner
from processor.cli.output import print_json, print_line, print_note, print_table
from processor.domain.api_key import parse_api_key
from processor.domain.chain import Role
from processor.program_file import format_time
from storage.directory import KeyRow, create_key, find_chain, list_keys, revoke_key
from storage.owner import Connection

app = typer.Typer(no_args_is_help=True, help="API keys: each belongs to one chain.")


@app.command()
def create(
    chain: ChainName,
    label: Annotated[str, typer.Option(help="What the key is for, as a person would say it.")] = "",
    role: Annotated[Role, typer.Option(help="Who bears it; only an operator may adjust points.")] = Role.TILL,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create an API key and print it, once: only a hash of it is kept."""

    async def work(connection: Connection) -> str:
        return await create_key(connection, await find_chain(connection, chain), label, role)

    key = as_owner(dsn, work)
    if as_json:
        print_json({"api_key": key, "chain": chain, "label": label, "role": role})
        return
    print_line(key)
    print_note("Keep it now: nobody can show it again. Servers know it within seconds.")


@app.command()
def revoke(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The key, or its id of 12 characters.", show_default=False)
    ],
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Put an API key out of force, for ever; servers refuse it within seconds."""
    parsed = parse_api_key(key)
    key_id = parsed[0] if parsed else key
    as_owner(dsn, lambda connection: revoke_key(connection, key_id))
    if as_json:
        print_json({"key_id": key_id, "revoked": True})
    else:
        print_line(f"Key {key_id} is revoked.")


@app.command("list")
def show_all(chain: ChainName, dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """List a chain's API keys, without their secrets."""

    async def work(connection: Connection) -> list[KeyRow]:
        return await list_keys(connection, await find_chain(connection, chain))

    keys = as_owner(dsn, work)
    if as_json:
        print_json([_as_dict(key) for key in keys])
    else:
        print_table(
            ("id", "label", "role", "created", "revoked"),
            [[value or "" for value in _as_dict(key).values()] for key in keys],
        )


def _as_dict(key: KeyRow) -> dict[str, str | None]:
    return {
        "key_id": key.key_id,
        "label": key.label,
        "role": key.role,
        "created_at": format_time(key.created_at_us),
        "revoked_at": None if key.revoked_at_us is None else format_time(key.revoked_at_us),
    }
