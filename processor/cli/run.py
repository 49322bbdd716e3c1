"""`run`: the service with a demo, on a PostgreSQL of its own."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.text import Text

from processor.cli.child import serve_on, service
from processor.cli.demo import APPLIED, CARDS, DemoCall, send_burst
from processor.cli.errors import PROGRAM, CommandError, ExitStatus
from processor.cli.migrations import migrate_visibly
from processor.cli.options import Dsn
from processor.cli.output import errors, print_line, print_table
from processor.config import Settings, load_settings
from storage.directory import create_chain, create_key, find_chain, is_key_in_force, list_chains
from storage.embedded import EmbeddedPostgres
from storage.members import Member, add_members
from storage.owner import owner_connection

_CHAIN: Final = "demo"
# With `export LOYALTY_DSN=`, quotes and a backslash in 80 columns.
_DSN_CHARS: Final = 58


def run(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the demo; 1 if a call surprised.")] = False,
    data_dir: Annotated[
        Path, typer.Option(metavar="DIRECTORY", help="Where the embedded PostgreSQL keeps its data.")
    ] = Path(".data/postgres"),
    dsn: Dsn = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that share the port.")] = 1,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="Port of gRPC; 0 takes a free one.", show_default="50051 if free"
        ),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="Port of /metrics; 0 takes a free one.", show_default="9464 if free"
        ),
    ] = None,
) -> None:
    """Start PostgreSQL and the service, send a burst of calls, show what came back, serve until Ctrl-C.

    With --dsn another PostgreSQL is used; it gets a chain named demo, with 300 members.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    with _database(dsn, data_dir) as (database, key_file):
        asyncio.run(migrate_visibly(database))
        api_key = asyncio.run(_prepare(database, _read_key(key_file)))
        if key_file:
            _keep_key(key_file, api_key)
        settings = _settings(database, workers, port, http_port)
        with service(settings) as process:
            calls = asyncio.run(send_burst(f"{settings.host}:{settings.port}", api_key))
            _show(calls, settings, api_key)
            if key_file:
                _show_dsn(database)
            if not once:
                serve_on(process)
    if any(call.surprise for call in calls):
        raise typer.Exit(ExitStatus.REFUSED)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


# --- before the service ----------------------------------------------------------------------------


@contextmanager
def _database(dsn: str | None, data_dir: Path) -> Iterator[tuple[str, Path | None]]:
    """The DSN to use, and where the demo's API key is kept: beside the embedded data, else nowhere."""
    given = dsn or os.environ.get("LOYALTY_DSN")
    if given:
        yield load_settings(dsn=given).dsn.get_secret_value(), None
        return
    postgres = EmbeddedPostgres(data_dir)
    with errors.status("Starting PostgreSQL"):
        postgres.start()
    with postgres:
        yield postgres.dsn(), data_dir / "demo_api_key"


async def _prepare(dsn: str, kept_key: str) -> str:
    """See that there are the demo's chain and members, and an API key: the kept one while it is in force."""
    async with owner_connection(dsn) as connection:
        if _CHAIN in [chain.name for chain in await list_chains(connection)]:
            chain_id = await find_chain(connection, _CHAIN)
        else:
            chain_id = await create_chain(connection, _CHAIN)
        await add_members(connection, chain_id, [Member(*pair) for pair in enumerate(CARDS, start=1)])
        if await is_key_in_force(connection, chain_id, kept_key):
            return kept_key
        return await create_key(connection, chain_id, _CHAIN)


def _read_key(key_file: Path | None) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return key_file.read_text().strip() if key_file else ""
    return ""


def _keep_key(key_file: Path, api_key: str) -> None:
    key_file.unlink(missing_ok=True)
    key_file.touch(mode=0o600, exist_ok=False)
    key_file.write_text(f"{api_key}\n")


def _settings(dsn: str, workers: int, port: int | None, http_port: int | None) -> Settings:
    base = load_settings(dsn=dsn)
    if base.tls_cert_file:
        raise CommandError(
            "run serves without TLS: unset LOYALTY_TLS_CERT_FILE, or use serve", ExitStatus.USAGE
        )
    return load_settings(
        dsn=dsn,
        workers=workers,
        port=_port(base.host, port, base.port),
        http_port=_port(base.http_host, http_port, base.http_port),
        drain_seconds=0,
        log_level=base.log_level if base.source("log_level") == "environment" else "warning",
    )


def _port(host: str, wanted: int | None, usual: int) -> int:
    """The wanted port; if none is, the usual one or, where that is taken, any other."""
    if wanted:
        return wanted
    candidates = [0] if wanted == 0 else [usual, 0]
    for port in candidates:
        with suppress(OSError), socket.create_server((host, port)) as probe:
            return int(probe.getsockname()[1])
    return usual


# --- what is shown ---------------------------------------------------------------------------------


def _show(calls: Sequence[DemoCall], settings: Settings, api_key: str) -> None:
    print_table(("call", "key", "answer", "#points", "#balance", "replayed"), map(_row, calls))
    endpoint = f"{settings.host}:{settings.port}"
    print_line(f"gRPC     {endpoint}")
    print_line(f"API key  {api_key}")
    print_line(f"metrics  http://{settings.http_host}:{settings.http_port}/metrics")
    print_line("\nAsk for a balance (reflection is on, so `grpcurl ... list` works too):\n")
    print_line("grpcurl -plaintext \\")
    print_line(f"  -H 'authorization: Bearer {api_key}' \\")
    print_line(f'  -d \'{{"card": "{CARDS[0]}"}}\' {endpoint} \\')
    print_line("  loyalty.v1.TransactionService/GetBalance\n")


def _show_dsn(dsn: str) -> None:
    """How other commands find the embedded PostgreSQL, in lines for a shell."""
    starts = range(0, len(dsn), _DSN_CHARS)
    quoted = "\\\n".join(f"'{dsn[start : start + _DSN_CHARS]}'" for start in starts)
    program = sys.argv[0] if Path(sys.argv[0]).name == PROGRAM else PROGRAM
    print_line('Ask the ledger itself, by psql "$LOYALTY_DSN" or by the command line:\n')
    print_line(f"export LOYALTY_DSN={quoted}")
    print_line(f"{program} balance {_CHAIN} --card {CARDS[0]}")
    print_line(f"{program} verify {_CHAIN}\n")


def _row(call: DemoCall) -> tuple[str | Text, ...]:
    if call.surprise:
        answer = Text(f"{call.reason}: {call.surprise}", "bold red")
    else:
        answer = Text(call.reason, "green" if call.reason.endswith(APPLIED) else "yellow")
    balance = "" if call.balance_points is None else str(call.balance_points)
    return call.name, call.idempotency_key, answer, call.points, balance, "yes" if call.replayed else ""
