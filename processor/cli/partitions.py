"""`partitions`: the ledger's ranges of time."""

import asyncio
from typing import Annotated

import typer

from processor.cli import archives
from processor.cli.options import AsJson, Dsn, as_owner, resolve_dsn
from processor.cli.output import print_json, print_line, print_table
from processor.program_file import format_time
from storage.owner import Connection
from storage.partitions import (
    Interval,
    Partitions,
    PartitionSize,
    detach_partition,
    list_partitions,
    partition_interval,
    set_partition_interval,
)
from storage.pool import open_pool

app = typer.Typer(no_args_is_help=True, help="Partitions of the ledger, each a range of time.")


@app.command("list")
def show_all(dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """List the partitions, the oldest first; operations are PostgreSQL's estimate."""
    partitions = [_as_dict(partition) for partition in as_owner(dsn, list_partitions)]
    if as_json:
        print_json(partitions)
    else:
        print_table(
            ("partition", "from", "to", "#operations", "#bytes"),
            [list(partition.values()) for partition in partitions],
        )


@app.command()
def ensure(
    ahead: Annotated[int, typer.Option(min=0, max=1_000, help="Partitions after the present one.")] = 3,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make the present partition and some after it, as the service does by itself."""
    runway_seconds = asyncio.run(_make_ahead(resolve_dsn(dsn), ahead))
    if as_json:
        print_json({"runway_seconds": round(runway_seconds)})
    else:
        print_line(f"There are partitions for the next {runway_seconds / 86_400:.0f} days.")


@app.command()
def interval(
    length: Annotated[
        Interval | None,
        typer.Argument(help="What it shall be.", show_default="only show it"),
    ] = None,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show how long the range of a new partition is, or set it; those that there are keep theirs."""

    async def work(connection: Connection) -> Interval:
        if length:
            await set_partition_interval(connection, length)
        return await partition_interval(connection)

    now = as_owner(dsn, work)
    if as_json:
        print_json({"interval": now})
    else:
        print_line(f"New partitions hold a {now} each.")


@app.command()
def detach(
    name: Annotated[str, typer.Argument(metavar="PARTITION", help="Its name.", show_default=False)],
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Take an old partition out of the ledger; it stays a table, to archive or to drop."""

    async def work(connection: Connection) -> None:
        await detach_partition(connection, name)

    as_owner(dsn, work)
    if as_json:
        print_json({"detached": name})
    else:
        print_line(f"Partition {name} is a table of its own now.")


app.command()(archives.archive)
app.command()(archives.read)


async def _make_ahead(dsn: str, count: int) -> float:
    pool = await open_pool(dsn, connections=1, statement_timeout_seconds=30)
    try:
        partitions = Partitions(pool)
        await partitions.make_ahead(count)
        return partitions.runway_seconds()
    finally:
        await pool.close()


def _as_dict(partition: PartitionSize) -> dict[str, str | int]:
    return {
        "name": partition.name,
        "from": format_time(partition.from_us),
        "to": format_time(partition.to_us),
        "operations_estimate": partition.operations_estimate,
        "size_bytes": partition.size_bytes,
    }
