"""`program`: a chain's rules, in versions."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from processor.cli.errors import CommandError, InputFileError
from processor.cli.options import AsJson, ChainName, Dsn, as_owner
from processor.cli.output import print_json, print_line
from processor.program_file import (
    ProgramFile,
    ProgramFileError,
    format_program,
    format_time,
    parse_program,
    program_schema,
)
from storage.directory import ProgramRow, add_program, find_chain, programs
from storage.owner import Connection

app = typer.Typer(no_args_is_help=True, help="Programs: what receipts earn and what points pay.")


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
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A YAML or JSON file, or - for standard input; see docs/program.yaml.",
            show_default=False,
        ),
    ],
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add the next version of a chain's program; what is recorded stays as it was decided."""
    parsed = _read(file)

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


def _read(file: Path) -> ProgramFile:
    name = "<stdin>" if str(file) == "-" else str(file)
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return parse_program(content.decode())
    except OSError as error:
        raise InputFileError([f"{name}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise InputFileError([f"{name}: is not UTF-8 text: {error}"]) from error
    except ProgramFileError as error:
        raise InputFileError(error.lines(name)) from error


def _as_dict(program: ProgramRow) -> dict[str, object]:
    return {
        "version": program.version,
        "effective_from": format_time(program.effective_from_us),
        "document": program.document,
    }
