"""`python -m benchmarks.sizing`: what a member and an operation take on disk and in the WAL.

docs/scaling.md reckons with these figures.
"""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, Final, NamedTuple

import typer

from benchmarks.compare.calls import CallLoad
from benchmarks.compare.client import BenchmarkError, Client
from benchmarks.compare.shapes import ACCRUE, Shape, batch_of, checkout_of
from benchmarks.compare.till import Till
from benchmarks.service import Service, own_service
from processor.cli.errors import CommandError
from processor.cli.output import print_json, print_note, print_table
from processor.domain.failures import StorageFailure
from storage.embedded import EmbeddedPostgresError
from storage.members import Member, add_members
from storage.owner import owner_connection

_CONNECTIONS: Final = 4
_IN_FLIGHT: Final = 64
# Those of the receipts that have any; the others have the total alone.
_LINES: Final = 20
_SIZES: Final = """
SELECT
    (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'account'::regclass),
    pg_total_relation_size('card'),
    (SELECT sum(pg_table_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'operation'::regclass),
    (SELECT sum(pg_indexes_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'operation'::regclass)
"""


class Sizes(NamedTuple):
    """Bytes on disk."""

    account: int
    card: int
    operation_rows: int
    operation_indexes: int


class Run(NamedTuple):
    """Some load, and the bytes that each of its operations added."""

    load: str
    operations: int
    row_bytes: float
    index_bytes: float
    wal_bytes: float


def measure(members: int, operations: int) -> tuple[dict[str, float], list[Run]]:
    """Bytes per member, and the runs. Raises BenchmarkError and what `own_service` raises."""
    with own_service("sizing") as service:
        asyncio.run(_enrol(service, members))
        enrolled = asyncio.run(_sizes(service.dsn))
        runs = list(_runs(service, members, operations))
        grown = asyncio.run(_sizes(service.dsn))
    per_member = {
        "account": enrolled.account / members,
        "account, after the runs": grown.account / members,
        "card": enrolled.card / members,
    }
    return per_member, runs


async def _enrol(service: Service, members: int) -> None:
    async with owner_connection(service.dsn) as connection:
        enrolled = (Member(number, f"card-{number:010}") for number in range(1, members + 1))
        await add_members(connection, service.chain_id, enrolled)


def _runs(service: Service, members: int, operations: int) -> Iterator[Run]:
    """Each shape twice: after a checkpoint, when a page's first change logs it whole, and once more."""
    shapes = {
        "unary": ACCRUE,
        "batch of 500": batch_of(500),
        f"unary, {_LINES} lines": checkout_of(_LINES),
    }
    for name, shape in shapes.items():
        till = Till(service.target, (service.api_key,), _CONNECTIONS, members, 0.0)
        with Client(CallLoad(till, shape, _in_flight(shape))) as client:
            asyncio.run(_execute(service.dsn, "CHECKPOINT"))
            yield _run(service, client, f"{name}, after a checkpoint", operations)
            yield _run(service, client, f"{name}, later", operations)


def _in_flight(shape: Shape) -> int:
    return max(4, _IN_FLIGHT // shape.operations)


def _run(service: Service, client: Client, load: str, operations: int) -> Run:
    client.prepare(operations)
    before, wal_before = asyncio.run(_sizes(service.dsn)), asyncio.run(_wal_bytes(service.dsn))
    client.run()
    after, wal_after = asyncio.run(_sizes(service.dsn)), asyncio.run(_wal_bytes(service.dsn))
    return Run(
        load,
        operations,
        (after.operation_rows - before.operation_rows) / operations,
        (after.operation_indexes - before.operation_indexes) / operations,
        (wal_after - wal_before) / operations,
    )


async def _sizes(dsn: str) -> Sizes:
    async with owner_connection(dsn) as connection:
        [row] = await connection.fetch(_SIZES)
        return Sizes(*map(int, row))


async def _wal_bytes(dsn: str) -> int:
    async with owner_connection(dsn) as connection:
        return int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'"))


async def _execute(dsn: str, statement: str) -> None:
    async with owner_connection(dsn) as connection:
        await connection.execute(statement)


def command(
    members: Annotated[int, typer.Option(min=1_000, max=5_000_000)] = 200_000,
    operations: Annotated[int, typer.Option(min=100, max=5_000_000, help="In each run.")] = 50_000,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Measure bytes per member and per operation on an embedded PostgreSQL."""
    per_member, runs = measure(members, operations)
    if as_json:
        print_json({"bytes_per_member": per_member, "runs": [run._asdict() for run in runs]})
        return
    print_table(("of a member", "#bytes"), [(name, f"{size:.0f}") for name, size in per_member.items()])
    rows: list[tuple[Any, ...]] = [
        (run.load, f"{run.operations:,}", *(f"{size:.0f}" for size in run[2:])) for run in runs
    ]
    print_table(("load", "#operations", "#row bytes", "#index bytes", "#WAL bytes"), rows)


def main() -> None:
    """Run the command; what goes wrong is told in one line."""
    try:
        typer.run(command)
    except (BenchmarkError, CommandError, EmbeddedPostgresError, StorageFailure) as error:
        print_note(f"sizing: {error}")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
