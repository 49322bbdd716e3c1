"""The command line: `loyalty-processor`."""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from typer.main import get_command

from processor.cli import (
    adjust,
    cards,
    chains,
    keys,
    ledger,
    members,
    migrations,
    partitions,
    programs,
    rebuilding,
    run,
    service,
    settings,
    top,
    verification,
)
from processor.cli.errors import EXIT_STATUSES, PROGRAM, describe
from processor.cli.output import print_note

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EXIT_STATUSES,
)
app.command()(run.run)
app.command()(service.serve)
app.command()(top.top)
app.command()(settings.config)
app.command()(migrations.migrate)
app.add_typer(chains.app, name="chain")
app.add_typer(keys.app, name="key")
app.add_typer(programs.app, name="program")
app.add_typer(members.app, name="member")
app.add_typer(cards.app, name="card")
app.command()(ledger.balance)
app.command()(ledger.operation)
app.command()(adjust.adjust)
app.command()(verification.verify)
app.command()(rebuilding.rebuild_accounts)
app.add_typer(partitions.app, name="partitions")


@app.callback()
def _root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Accrue and redeem loyalty points over gRPC, once per idempotency key, into PostgreSQL."""
    del debug  # `main` looks for it before anything is parsed, for errors that come before this


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command; every error becomes a line on standard error and an exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        status = get_command(app).main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except Exception as error:
        if "--debug" in arguments[:1]:
            raise
        code, lines = describe(error)
        for line in lines:
            print_note(line)
        sys.exit(code)
    sys.exit(status if isinstance(status, int) else 0)
