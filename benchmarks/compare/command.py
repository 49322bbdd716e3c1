"""`make bench`: set up a service, PostgreSQL and clients, measure, and report."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.collector import collector
from benchmarks.compare.client import BenchmarkError, Client, Load
from benchmarks.compare.empty import empty_server
from benchmarks.compare.figures import BASKET, EMPTY, FLOOR, RICH, TRACED, UNTRACED, figures
from benchmarks.compare.floor import FloorLoad
from benchmarks.compare.loads import CHECKOUT, UNARY, CallLoad, StreamLoad, Till, batch_of, stream_of
from benchmarks.compare.measure import Processes, Subject
from benchmarks.compare.report import Report, print_report, write_json
from benchmarks.compare.rounds import Round, run_rounds, runs
from benchmarks.compare.tracing import SAMPLE_RATIO, tracing_costs
from benchmarks.machine import describe_machine, describe_postgres
from benchmarks.rich_program import RICH_PROGRAM
from benchmarks.service import Service, add_chain, own_service, traced_service, verify
from processor.cli.errors import CommandError
from processor.domain.failures import StorageFailure
from storage.embedded import EmbeddedPostgresError
from storage.members import Member, add_members
from storage.owner import owner_connection

_CONNECTIONS: Final = 4
_UNARY_IN_FLIGHT: Final = 512
_BATCHES_IN_FLIGHT: Final = 8
_BATCH_OPS: Final = 500
_MESSAGE_OPS: Final = 100
_QUICK_SECONDS: Final = 0.7
_LEDGER_OPERATIONS: Final = 20_000
_errors: Final = Console(stderr=True, highlight=False)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Settings(NamedTuple):
    """Of one comparison; `seconds` are those of one run of one subject."""

    members: int
    zipf: float
    rounds: int
    seconds: float
    workers: int


@app.command()
def compare(
    *,
    members: Annotated[int, typer.Option(min=1_000, max=5_000_000, help="Members of the chain.")] = 200_000,
    zipf: Annotated[
        float, typer.Option(min=0, max=3, help="Exponent of Zipf's law for members; 0: all alike.")
    ] = 0.0,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds that count.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Length of one run of a round.")] = 4.0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Workers of the service.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Short runs: about a minute in all.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", dir_okay=False, help="Write all figures here.")
    ] = None,
) -> None:
    """Measure PostgreSQL's floor, an empty gRPC handler and the service, in interleaved rounds of one run.

    Exit status: 0 measured; 1 `verify` found the ledger wrong; 2 it could not be done.
    """
    settings = Settings(members, zipf, rounds, _QUICK_SECONDS if quick else seconds, workers)
    report = run_comparison(settings)
    print_report(report)
    if json_file:
        write_json(report, json_file)
    raise typer.Exit(0 if report.verified else 1)


def run_comparison(settings: Settings) -> Report:
    """Set up everything, measure, verify the ledger. Raises BenchmarkError."""
    machine = describe_machine()
    with own_service("bench", workers=settings.workers) as service, collector() as collector_url:
        with _errors.status(f"Enrolling {settings.members:,} members of three chains"):
            others = asyncio.run(_prepare(service, settings.members))
        with (
            traced_service(service, collector_url, SAMPLE_RATIO, settings.workers) as traced,
            _subjects(service, traced, others, settings) as subjects,
        ):
            _settle_in(service, subjects[0])
            measured = _run_visibly(subjects, settings)
        costs = tracing_costs(collector_url)
        with _errors.status("Verifying the ledger"):
            is_clean = verify(service.dsn)
        postgres = asyncio.run(describe_postgres(service.dsn))
    return Report(machine, postgres, settings._asdict(), figures(measured), costs, is_clean)


class Others(NamedTuple):
    """The chains beside that of the service: one for the floor alone, and one with a rich program."""

    floor_chain_id: int
    rich_api_key: str


async def _prepare(service: Service, members: int) -> Others:
    """Enrol the members of the service's chain and of the others."""
    floor_chain_id, _ = await add_chain(service.dsn, "floor")
    rich_chain_id, rich_api_key = await add_chain(service.dsn, "rich", RICH_PROGRAM)
    async with owner_connection(service.dsn) as connection:
        for chain_id in (service.chain_id, floor_chain_id, rich_chain_id):
            await add_members(connection, chain_id, map(Member, range(1, members + 1)))
        await connection.execute("VACUUM ANALYZE account")
        await connection.execute("CHECKPOINT")
    return Others(floor_chain_id, rich_api_key)


def _settle_in(service: Service, floor: Subject) -> None:
    """Let the ledger's partition have a size that PostgreSQL knows, as after its first minute."""
    floor.client.prepare(_LEDGER_OPERATIONS)
    floor.client.run()
    asyncio.run(_analyze(service.dsn))


async def _analyze(dsn: str) -> None:
    async with owner_connection(dsn) as connection:
        await connection.execute("ANALYZE operation")


@contextmanager
def _subjects(
    service: Service, traced: Service, others: Others, settings: Settings
) -> Iterator[Sequence[Subject]]:
    """All that are compared, each with a client process of its own."""
    postgres = service.postgres_pid
    till = Till(service.target, service.api_key, _CONNECTIONS, settings.members, settings.zipf)
    floor = FloorLoad(service.dsn, others.floor_chain_id, settings.members, settings.zipf, _BATCH_OPS)
    unary = CallLoad(till, UNARY, _UNARY_IN_FLIGHT)
    rich = replace(till, api_key=others.rich_api_key)
    own: list[tuple[str, Service, Load]] = [
        (UNTRACED, service, unary),
        (TRACED, traced, replace(unary, till=replace(till, target=traced.target))),
        (RICH, service, replace(unary, till=rich)),
        (BASKET, service, CallLoad(rich, CHECKOUT, _UNARY_IN_FLIGHT)),
        (f"batch of {_BATCH_OPS}", service, CallLoad(till, batch_of(_BATCH_OPS), _BATCHES_IN_FLIGHT)),
        (f"stream, {_MESSAGE_OPS} a message", service, StreamLoad(till, stream_of(_MESSAGE_OPS))),
    ]
    with ExitStack() as stack:
        empty = stack.enter_context(empty_server())
        empty_load = replace(unary, till=replace(till, target=empty.target))
        yield [
            Subject(FLOOR, stack.enter_context(Client(floor)), Processes(None, postgres)),
            Subject(EMPTY, stack.enter_context(Client(empty_load)), Processes(empty.pid, postgres)),
            *(
                Subject(
                    name,
                    stack.enter_context(Client(load)),
                    Processes(serving.server_pid, postgres),
                    serving.metrics_url,
                )
                for name, serving, load in own
            ),
        ]


def _run_visibly(subjects: Sequence[Subject], settings: Settings) -> list[Round]:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as progress:
        task = progress.add_task("", total=runs(len(subjects), settings.rounds), completed=-1)
        return run_rounds(
            subjects,
            settings.rounds,
            settings.seconds,
            on_run=lambda name: progress.update(task, advance=1, description=name),
        )


def main() -> None:
    """Run the command; what goes wrong is told in one line."""
    try:
        app(prog_name="make bench ARGS=")
    except (BenchmarkError, CommandError, EmbeddedPostgresError, StorageFailure) as error:
        _errors.print(f"bench: {error}", markup=False, soft_wrap=True)
        raise SystemExit(2) from None
