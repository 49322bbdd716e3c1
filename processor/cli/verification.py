"""`verify`: proves the ledger, or lists what is wrong with it."""

import asyncio
import os
from typing import Annotated, Final

import typer

from processor.cli.errors import ExitStatus
from processor.cli.options import AsJson, Dsn, resolve_dsn
from processor.cli.output import print_json, print_line, print_table, progress
from storage.verify import Report
from storage.verify import verify as compare

# Each has a connection beside those of the service, and PostgreSQL work to do.
_PROCESSES: Final = min(os.cpu_count() or 1, 2)


def verify(
    chain: Annotated[
        str | None, typer.Argument(metavar="[CHAIN]", help="One chain; all, if none.", show_default=False)
    ] = None,
    dsn: Dsn = None,
    *,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Among which the members are divided.", show_default=False)
    ] = _PROCESSES,
    as_json: AsJson = False,
) -> None:
    """Compute every balance, state, sequence and hash again from the ledger; 1 if anything differs.

    It looks at one moment of the database, and may run while the service does, which shows the result for
    all chains among its metrics.
    """
    report = _compare_visibly(resolve_dsn(dsn), chain, processes)
    if as_json:
        print_json(report._asdict() | {"differences": [each._asdict() for each in report.differences]})
    else:
        _show(report)
    if report.differences_count:
        raise typer.Exit(ExitStatus.REFUSED)


def _compare_visibly(dsn: str, chain: str | None, processes: int) -> Report:
    with progress() as bar:
        task = bar.add_task("Verifying", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return asyncio.run(compare(dsn, chain, show, processes=processes))


def _show(report: Report) -> None:
    if report.differences:
        print_table(
            ("chain", "member", "what", "expected", "found"),
            [
                (each.chain, each.member_id or "", each.what, each.expected, each.found)
                for each in report.differences
            ],
        )
    hidden = report.differences_count - len(report.differences)
    if hidden:
        print_line(f"... and {hidden:,} more differences.")
    if report.unchecked:
        print_line(f"{report.unchecked:,} operations left with detached partitions and were not checked.")
    print_line(
        f"{report.members:,} members and {report.operations:,} operations: "
        f"{report.differences_count:,} differences."
    )
