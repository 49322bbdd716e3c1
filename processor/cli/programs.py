"""`program`: a chain's rules, in versions."""

from collections.abc import Sequence
from typing import Annotated

import typer

from processor.cli.errors import CommandError
from processor.cli.options import AsJson, ChainName, Dsn, as_owner
from processor.cli.output import print_json, print_line
from processor.cli.program_input import ProgramPath, read_program
from processor.cli.simulation import simulate
from processor.program_file import format_program, format_time, program_schema
from storage.directory import ProgramRow, add_program, find_chain, programs
from storage.owner import Connection

app = typer.Typer(no_args_is_help=True, help="Programs: what receipts earn and what points pay.")
app.command()(simulate)


@app.command()
def show(
    chain: ChainName,
    version: Annotated[
        int | None, typer.Option(min=1, help="An earlier version.", show_default="the newest")
    ] = None,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print a chain's program as the file that `program set` takes."""

    async def work(connection: Connection) -> list[ProgramRow]:
        return await programs(connection, await find_chain(connection, chain))

    versions = as_owner(dsn, work)
    if version is not None and version > len(versions):
        raise CommandError(
            f"chain {chain} has no version {version} of its program: name 1 to {len(versions)}"
        )
    program = versions[(version or 0) - 1]
    if as_json:
        print_json(_as_dict(program))
    else:
        print_line(f"# chain {chain}, version {program.version} of {len(versions)}")
        print_line(format_program(program.document, program.effective_from_us).rstrip())


@app.command("set")
def add(
    chain: ChainName,
    file: ProgramPath,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add the next version of a chain's program; what is recorded stays as it was decided."""
    parsed = read_program(file)

    async def work(connection: Connection) -> tuple[ProgramRow, list[ProgramRow]]:
        chain_id = await find_chain(connection, chain)
        added = await add_program(connection, chain_id, parsed.document, parsed.effective_from_us)
        return added, await programs(connection, chain_id)

    program, versions = as_owner(dsn, work)
    if as_json:
        print_json(_as_dict(program))
    else:
        since, until = format_time(program.effective_from_us), _until(program, versions)
        print_line(f"Version {program.version} of the program of {chain} is in force from {since}{until}.")


@app.command()
def schema() -> None:
    """Print the JSON schema of a program file, for editors."""
    print_json(program_schema())


def _until(program: ProgramRow, versions: Sequence[ProgramRow]) -> str:
    """Which version comes into force after this one, in words; empty if none does."""
    later = [each for each in versions if each.effective_from_us > program.effective_from_us]
    if not later:
        return ""
    following = min(later, key=lambda each: (each.effective_from_us, -each.version))
    return f" until version {following.version} is, from {format_time(following.effective_from_us)}"


def _as_dict(program: ProgramRow) -> dict[str, object]:
    return {
        "version": program.version,
        "effective_from": format_time(program.effective_from_us),
        "document": program.document,
    }
