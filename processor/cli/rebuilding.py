"""`rebuild-accounts`: what the ledger makes of an empty database."""

import asyncio
from typing import Annotated

import typer

from processor.cli.options import AsJson, Dsn, resolve_dsn
from processor.cli.output import print_json, print_line, progress
from storage.rebuild import Rebuilt
from storage.rebuild import rebuild_accounts as rebuild


def rebuild_accounts(
    to: Annotated[
        str,
        typer.Option(help="The database for the accounts: migrated, and without any.", show_default=False),
    ],
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Replay the ledger into the accounts of another database, which are then equal byte for byte.

    For a comparison, or where accounts are lost and the ledger is not. Cards and segments are not in it.
    """
    rebuilt = _rebuild_visibly(resolve_dsn(dsn), resolve_dsn(to))
    if as_json:
        print_json(rebuilt._asdict())
    else:
        print_line(f"{rebuilt.members:,} accounts are rebuilt from {rebuilt.operations:,} operations.")


def _rebuild_visibly(dsn: str, to: str) -> Rebuilt:
    with progress() as bar:
        task = bar.add_task("Replaying", total=None)
        return asyncio.run(
            rebuild(dsn, to, lambda done, total: bar.update(task, completed=done, total=total))
        )
