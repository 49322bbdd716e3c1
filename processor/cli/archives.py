"""`partitions archive` and `partitions read`: old operations as files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from processor.cli.errors import CommandError, InputFileError
from processor.cli.options import AsJson, Dsn, as_owner
from processor.cli.output import print_fields, print_json, print_line, print_table
from processor.domain.limits import MEMBER_ID_MAX
from processor.domain.operation import Operation, recorded_from
from processor.domain.outcomes import Outcome
from processor.program_file import format_time
from storage.owner import Connection

if TYPE_CHECKING:
    from storage.archive import Archived

File = Annotated[Path, typer.Argument(metavar="FILE", help="The Parquet file.", show_default=False)]


def archive(
    name: Annotated[
        str, typer.Argument(metavar="PARTITION", help="A detached one's name.", show_default=False)
    ],
    to: Annotated[Path, typer.Option(help="The Parquet file to write.", show_default=False)],
    dsn: Dsn = None,
    *,
    drop: Annotated[bool, typer.Option("--drop", help="Drop the table once the file is proven.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a detached partition to a Parquet file, and read it back to prove that nothing is missing."""

    async def work(connection: Connection) -> "Archived":
        from storage.archive import archive_partition

        return await archive_partition(connection, name, to, drop=drop)

    with _telling_of(to):
        archived = as_owner(dsn, work)
    if as_json:
        print_json({"partition": name, "file": str(to), **archived._asdict(), "dropped": drop})
    else:
        print_line(
            f"{to} holds the {archived.operations:,} operations of {name} in {archived.size_bytes:,} bytes,"
            f" read back and compared; the table is {'dropped' if drop else 'still there'}."
        )


def read(
    file: File,
    key: Annotated[str | None, typer.Option(help="An idempotency key.", show_default=False)] = None,
    member: Annotated[
        int | None, typer.Option(min=1, max=MEMBER_ID_MAX, help="Or a member's number.", show_default=False)
    ] = None,
    chain: Annotated[
        str | None, typer.Option(help="The chain's name, if several have it.", show_default=False)
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Look up in an archive what the ledger recorded; the JSON of a key is that of `operation`."""
    if (key is None) == (member is None):
        raise typer.BadParameter("name the operation by --key, or all of a member's by --member")
    with _telling_of(file):
        found = _find(file, "member_id" if key is None else "idempotency_key", key or member, chain)
    if key is not None:
        print_fields(_recorded(found[0]), as_json=as_json)
    elif as_json:
        print_json([_recorded(operation) for operation in found])
    else:
        _print_operations(found)


@contextmanager
def _telling_of(file: Path) -> Iterator[None]:
    """Begin the line about what is wrong with a file with its name."""
    from storage.archive_file import ArchiveFileError

    try:
        yield
    except ArchiveFileError as error:
        raise InputFileError([f"{file}: {error}"]) from error


def _find(file: Path, column: str, value: Any, chain: str | None) -> list[Operation]:
    """The operations of one chain that have that value."""
    from storage.archive_file import ArchiveFile

    archive = ArchiveFile(file)
    names = {chain_id: part.name for chain_id, part in archive.header.chains.items()}
    found = [row for row in archive.find(column, value) if chain in {None, names[row.chain_id]}]
    chains = sorted({names[row.chain_id] for row in found})
    if not chains:
        raise CommandError(f"{file} has no operation with {column} {value!r}")
    if len(chains) > 1:
        raise CommandError(f"the chains {', '.join(chains)} all have it: name one by --chain")
    return found


def _recorded(operation: Operation) -> dict[str, Any]:
    from processor.rpc.render import recorded_as_dict

    return recorded_as_dict(operation.idempotency_key, recorded_from(operation))


def _print_operations(operations: list[Operation]) -> None:
    print_table(
        ("#sequence", "key", "occurred at", "outcome", "#earned", "#redeemed", "#balance"),
        [
            (
                row.member_sequence,
                row.idempotency_key,
                format_time(row.occurred_at_us),
                Outcome(row.outcome).name,
                row.earned_points,
                row.redeemed_points,
                row.balance_points,
            )
            for row in operations
        ],
    )
