"""`migrate`: brings a database to the schema of this program."""

import asyncio
from typing import Annotated

import typer

from processor.cli.options import AsJson, Dsn, resolve_dsn
from processor.cli.output import print_json, print_line, progress
from storage.citus import distribute
from storage.migrate import Migration, pending
from storage.migrate import migrate as apply_pending


def migrate(
    dsn: Dsn = None,
    *,
    citus: Annotated[
        bool, typer.Option("--citus", help="Then distribute the tables over a Citus cluster, by chain.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database to the schema of this program. Safe to run at any time, and again."""
    resolved = resolve_dsn(dsn)
    applied = [str(step) for step in asyncio.run(migrate_visibly(resolved))]
    distributed = citus and asyncio.run(distribute(resolved))
    if as_json:
        print_json({"applied": applied} | ({"distributed": distributed} if citus else {}))
        return
    print_line("\n".join(f"Applied {step}" for step in applied) or "The database is up to date.")
    if citus:
        print_line(f"The tables {'are' if distributed else 'were already'} distributed by chain.")


async def migrate_visibly(dsn: str) -> list[Migration]:
    """Apply what is pending behind a progress bar."""
    steps = await pending(dsn)
    with progress() as bar:
        task = bar.add_task("Migrating", total=len(steps))
        return await apply_pending(dsn, on_step=lambda _: bar.advance(task))
