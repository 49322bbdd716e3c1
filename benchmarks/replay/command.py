"""`make replay`: send the year through the service, then audit every answer and every balance."""

import asyncio
import json
import time
from contextlib import nullcontext
from typing import Annotated, Final

import pandas as pd
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.replay.audit import differences
from benchmarks.replay.balances import fetch_standings
from benchmarks.replay.connections import Mode
from benchmarks.replay.fleet import Load, Sent, send_receipts
from benchmarks.replay.log import Standing
from benchmarks.replay.receipts import Receipts, ReceiptsError, load_receipts, slice_receipts
from benchmarks.replay.recompute import Recomputed, recompute
from benchmarks.replay.recompute_rich import recompute_rich
from benchmarks.replay.report import Report, make_report, print_report
from benchmarks.replay.rules import Rules
from benchmarks.replay.service import Endpoint, enrol, own_service
from benchmarks.replay.tills import ReplayError
from benchmarks.service import verify
from processor.cli.errors import CommandError
from processor.config import ConfigError
from processor.domain.failures import StorageFailure
from storage.embedded import EmbeddedPostgresError
from storage.owner import SchemaMissingError

# Of one process: how many sends are under way, and how many receipts each holds.
_LANES: Final = {Mode.UNARY: 64, Mode.BATCH: 4, Mode.STREAM: 8}
_BATCH_OPS: Final = {Mode.UNARY: 1, Mode.BATCH: 200, Mode.STREAM: 100}
_errors: Final = Console(stderr=True, highlight=False)

_FAILURES: Final = (
    CommandError,
    ConfigError,
    EmbeddedPostgresError,
    ReceiptsError,
    ReplayError,
    SchemaMissingError,
    StorageFailure,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def replay(
    *,
    households: Annotated[int | None, typer.Option(min=1, help="Only so many households.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many receipts, the oldest.")] = None,
    program: Annotated[
        Rules, typer.Option(help="The chain's rules; rich has offline sales and returns too.")
    ] = Rules.PLAIN,
    seed: Annotated[int, typer.Option(help="Decides which receipts are repeated and who redeems.")] = 1,
    mode: Annotated[
        Mode, typer.Option(help="One receipt a call, or many in a batch or stream.")
    ] = Mode.UNARY,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Client processes.")] = 1,
    connections: Annotated[int, typer.Option(min=3, max=64, help="Connections of each of them.")] = 4,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Workers of the replay's own service.")] = 1,
    target: Annotated[str | None, typer.Option(help="host:port of a service that runs already.")] = None,
    api_key: Annotated[
        str | None, typer.Option(help="API key for it, of a chain with the replay's rules.")
    ] = None,
    dsn: Annotated[
        str | None, typer.Option(help="Its PostgreSQL, to enrol the members and to verify.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Send a year of real receipts through the service and recompute every balance.

    Exit status: 0 all as it must be; 1 differences; 2 it could not be done.
    """
    if (target is None) != (api_key is None) or (dsn and not target):
        raise typer.BadParameter("--target and --api-key belong together, and --dsn to both")
    receipts = slice_receipts(load_receipts(), households=households, limit=limit)
    given = Endpoint(target, api_key, dsn) if target and api_key else None
    with nullcontext(given) if given else own_service(workers, program) as endpoint:
        load = Load(
            endpoint.target,
            endpoint.api_key,
            run_id=f"replay-{time.time_ns() // 1_000_000}",
            rules=program,
            seed=seed,
            mode=mode,
            connections=connections,
            lanes=_LANES[mode],
            batch_ops=_BATCH_OPS[mode],
        )
        report = replay_through(receipts, load, endpoint.dsn, processes=processes)
    if as_json:
        print(json.dumps(report._asdict(), indent=2))
    else:
        print_report(report)
    raise typer.Exit(0 if report.is_clean else 1)


def replay_through(receipts: Receipts, load: Load, dsn: str | None, *, processes: int) -> Report:
    """Send, read the balances before and after, recompute, verify. Raises ReplayError."""
    members: list[int] = sorted(receipts.headers.household_id.unique().tolist())
    if dsn:
        asyncio.run(enrol(dsn, load.api_key, members))
    before = asyncio.run(fetch_standings(load.target, load.api_key, members))
    if load.rules is Rules.RICH and any(standing.balance_points for standing in before.values()):
        raise ReplayError(
            "under the rich rules members must begin with nothing: give an API key of a new chain"
        )
    sent = _send_visibly(receipts, before, load, processes)
    after = asyncio.run(fetch_standings(load.target, load.api_key, members))
    return make_report(
        sent.log,
        sent.latencies_us,
        before,
        after,
        mode=load.mode,
        lines=len(receipts.lines),
        receipts_left_out=receipts.worthless_count,
        seconds=sent.seconds,
        differences=differences(sent.log, _recompute(load.rules, sent.log, receipts, before), after),
        verified=verify(dsn) if dsn else None,
    )


def _recompute(
    rules: Rules, log: pd.DataFrame, receipts: Receipts, before: dict[int, Standing]
) -> Recomputed:
    if rules is Rules.RICH:
        return recompute_rich(log, receipts, before, time.time_ns() // 1_000)
    return recompute(log, receipts.lines, before)


def _send_visibly(receipts: Receipts, standings: dict[int, Standing], load: Load, processes: int) -> Sent:
    with _progress() as progress:
        task = progress.add_task("receipts", total=len(receipts.headers))
        return send_receipts(
            receipts,
            standings,
            load,
            processes=processes,
            on_progress=lambda answered: progress.update(task, completed=answered),
        )


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_errors,
        transient=True,
        disable=not _errors.is_terminal,
    )


def main() -> None:
    """Run the command; what goes wrong is told in one line."""
    try:
        app(prog_name="make replay ARGS=")
    except _FAILURES as error:
        _errors.print(f"replay: {error}", markup=False, soft_wrap=True)
        raise SystemExit(2) from None
