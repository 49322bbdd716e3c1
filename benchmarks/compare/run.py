"""One comparison from beginning to end."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.collector import collector
from benchmarks.compare.chains import make_chains
from benchmarks.compare.figures import Figures, figures
from benchmarks.compare.laps import Laps
from benchmarks.compare.latencies import measure_half_peak, measure_idle
from benchmarks.compare.measure import Subject
from benchmarks.compare.names import HALF_PEAK, HALF_PEAK_NATIVE, IDLE, IDLE_NATIVE, NATIVE, PGBENCH, UNARY
from benchmarks.compare.overload import measure_overload
from benchmarks.compare.report import Report
from benchmarks.compare.rounds import run_rounds, runs
from benchmarks.compare.settings import Settings
from benchmarks.compare.subjects import World, native_service, open_subjects
from benchmarks.compare.sweep import measure_sweep, sweep_runs
from benchmarks.compare.tracing import tracing_costs
from benchmarks.machine import describe_machine, describe_postgres
from benchmarks.service import Service, own_service, verify
from storage.owner import owner_connection

_LEDGER_OPERATIONS: Final = 20_000
# What is missing, by the subject that is then not measured.
_NOTES: Final = {
    PGBENCH: "pgbench is not installed (Debian: postgresql-contrib), so it was not measured",
    NATIVE: "pygrpc-native is not installed, so the native transport was not measured",
}
_errors: Final = Console(stderr=True, highlight=False)


class _Names(NamedTuple):
    """Of what is measured of each transport."""

    unary: str
    idle: str
    half_peak: str


_GRPCIO: Final = _Names(UNARY, IDLE, HALF_PEAK)
_NATIVE: Final = _Names(NATIVE, IDLE_NATIVE, HALF_PEAK_NATIVE)


def run_comparison(settings: Settings) -> Report:
    """Set up everything, measure, verify the ledger. Raises BenchmarkError."""
    machine, laps = describe_machine(), Laps()
    with own_service("bench", workers=settings.workers) as service, collector() as collector_url:
        laps.end("start")
        with _errors.status(f"Enrolling {settings.members:,} members of each chain"):
            chains = asyncio.run(make_chains(service, settings.members))
        laps.end("enrolment")
        with native_service(service, settings.workers) as native:
            world = World(service, native, chains, collector_url, settings)
            found, sweeps = _measure(world, laps)
        costs = tracing_costs(collector_url)
        laps.end("tracing")
        with _errors.status("Verifying the ledger"):
            is_clean = verify(service.dsn)
        laps.end("verify")
        postgres = asyncio.run(describe_postgres(service.dsn))
    notes = [note for name, note in _NOTES.items() if name not in found]
    return Report(
        machine, postgres, settings._asdict(), found, sweeps, (), costs, notes, is_clean, laps.seconds
    )


def _measure(world: World, laps: Laps) -> tuple[dict[str, Figures], dict[str, dict[str, Figures]]]:
    """The figures by subject, and the sweeps by transport."""
    found = _measure_rounds(world, laps)
    laps.end("rounds")
    found |= _measure_beside(world, found, laps)
    sweeps = {} if world.settings.is_quick else dict(_measure_sweeps(world))
    laps.end("load")
    return found, sweeps


def _measure_rounds(world: World, laps: Laps) -> dict[str, Figures]:
    settings = world.settings
    with open_subjects(world) as subjects:
        _settle_in(world.service, subjects[0])
        laps.end("preparation of the rounds")
        with _progress() as progress:
            on_run = _told(progress, runs(len(subjects), settings.rounds))
            return figures(run_rounds(subjects, settings.rounds, settings.seconds, on_run))


def _settle_in(service: Service, floor: Subject) -> None:
    """Let the ledger's partition have a size that PostgreSQL knows, as after its first minute."""
    floor.client.prepare(_LEDGER_OPERATIONS)
    floor.client.run()
    asyncio.run(_analyze(service.dsn))


async def _analyze(dsn: str) -> None:
    async with owner_connection(dsn) as connection:
        await connection.execute("ANALYZE operation")


def _measure_beside(world: World, found: dict[str, Figures], laps: Laps) -> Iterator[tuple[str, Figures]]:
    """What needs the service for itself."""
    services = (_GRPCIO, world.service), (_NATIVE, world.native)
    for (names, service), idle_id in zip(services, world.chains.idle_ids, strict=True):
        if service:
            with _errors.status("One call at a time"):
                yield names.idle, measure_idle(world, service, idle_id)
            laps.end(names.idle)
            with _errors.status("Calls at half of the peak"):
                peak_per_second = found[names.unary]["operations_per_second"].median
                yield names.half_peak, measure_half_peak(world, service, peak_per_second)
            laps.end(names.half_peak)
    if not world.settings.is_quick:
        with _errors.status("More than there is room for"):
            yield from measure_overload(world)
        laps.end("overload")


def _measure_sweeps(world: World) -> Iterator[tuple[str, dict[str, Figures]]]:
    for transport, service in (("grpcio", world.service), ("native", world.native)):
        if service:
            with _progress() as progress:
                on_run = _told(progress, sweep_runs(world.settings))
                yield transport, measure_sweep(world, service, on_run)


def _progress() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal)


def _told(progress: Progress, total: int) -> Callable[[str], None]:
    task = progress.add_task("", total=total, completed=-1)
    return lambda name: progress.update(task, advance=1, description=name)
