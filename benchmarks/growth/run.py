"""Ledgers of several sizes on one PostgreSQL, a service before each, and the same load for all in turn."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from rich.progress import Progress

from benchmarks.compare.calls import CallLoad
from benchmarks.compare.client import Client
from benchmarks.compare.figures import Figures, figure, figures
from benchmarks.compare.measure import Processes, Sample, Subject
from benchmarks.compare.report import GrowthPoint
from benchmarks.compare.rounds import Round, run_rounds, runs
from benchmarks.compare.settings import BATCH_OPS, BATCHES_IN_FLIGHT, CONNECTIONS
from benchmarks.compare.shapes import batch_of
from benchmarks.compare.till import Till
from benchmarks.growth.fill import fill
from benchmarks.growth.sizes import Size
from benchmarks.machine import describe_machine, describe_postgres
from benchmarks.service import Service, add_chain, own_postgres, service_of
from processor.cli.output import progress
from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.owner import owner_connection

_WORKERS: Final = 1
_MEGABYTE: Final = 1 << 20


class Growth(NamedTuple):
    """What was found, the smallest ledger first."""

    machine: dict[str, object]
    postgres: dict[str, str]
    settings: dict[str, object]
    points: list[GrowthPoint]


class Ledger(NamedTuple):
    """A filled database."""

    size: Size
    dsn: str
    chain_id: int
    api_key: str


def run_growth(sizes: Sequence[Size], rounds: int, seconds: float, directory: Path) -> Growth:
    """Fill, measure, and throw away; `sizes` ascend. Raises BenchmarkError."""
    machine = describe_machine()
    with own_postgres("growth", directory, _postgres_settings()) as postgres, progress() as bar:
        ledgers = [_fill(postgres, size, bar) for size in sizes]
        with _subjects(postgres, ledgers) as subjects:
            on_run = _told(bar, runs(len(subjects), rounds))
            samples = run_rounds(subjects, rounds, seconds, on_run)
        described = asyncio.run(describe_postgres(postgres.dsn()))
    settings = {"rounds": rounds, "seconds": seconds, "workers": _WORKERS, "sizes": list(map(str, sizes))}
    return Growth(machine, described, settings, _points(sizes, samples))


def _postgres_settings() -> dict[str, str]:
    """What a server of so much data is given: a quarter of the memory, as PostgreSQL's manual advises."""
    return {"shared_buffers": f"{psutil.virtual_memory().total // 4 // _MEGABYTE}MB", "max_wal_size": "8GB"}


def _fill(postgres: EmbeddedPostgres, size: Size, bar: Progress) -> Ledger:
    database = f"rows_{size.rows}"
    dsn = postgres.dsn(database)
    asyncio.run(_make_database(postgres.dsn(), database))
    asyncio.run(migrate(dsn))
    chain_id, api_key = asyncio.run(add_chain(dsn, "growth"))
    task = bar.add_task(f"Filling: {size}", total=size.rows)
    asyncio.run(fill(dsn, chain_id, size, lambda rows: bar.advance(task, rows)))
    return Ledger(size, dsn, chain_id, api_key)


async def _make_database(dsn: str, name: str) -> None:
    async with owner_connection(dsn) as connection:
        await connection.execute(f"CREATE DATABASE {name}")


@contextmanager
def _subjects(postgres: EmbeddedPostgres, ledgers: Sequence[Ledger]) -> Iterator[list[Subject]]:
    with ExitStack() as stack:
        yield [_subject(postgres, ledger, stack) for ledger in ledgers]


def _subject(postgres: EmbeddedPostgres, ledger: Ledger, stack: ExitStack) -> Subject:
    size, dsn, chain_id, api_key = ledger
    service: Service = stack.enter_context(service_of(postgres, dsn, chain_id, api_key, _WORKERS))
    till = Till(service.target, (api_key,), CONNECTIONS, size.members, 0.0)
    client = stack.enter_context(Client(CallLoad(till, batch_of(BATCH_OPS), BATCHES_IN_FLIGHT)))
    processes = Processes(service.server_pid, service.postgres_pid)
    return Subject(str(size), client, processes, service.metrics_url)


def _told(bar: Progress, total: int) -> Callable[[str], None]:
    task = bar.add_task("Measuring", total=total, completed=-1)
    return lambda _: bar.advance(task)


def _points(sizes: Sequence[Size], samples: Sequence[Round]) -> list[GrowthPoint]:
    measured = figures(samples)
    smallest = str(sizes[0])
    return [
        GrowthPoint(size.rows, size.members, measured[str(size)] | _ratios(str(size), smallest, samples))
        for size in sizes
    ]


def _ratios(name: str, smallest: str, samples: Sequence[Round]) -> Figures:
    pairs = [(each[name], each[smallest]) for each in samples]
    columns = {
        "throughput_to_smallest": [one.operations_per_second / of.operations_per_second for one, of in pairs],
        "cpu_to_smallest": [_cpu_us(one) / _cpu_us(of) for one, of in pairs],
    }
    return {column: each for column, values in columns.items() if (each := figure(values))}


def _cpu_us(sample: Sample) -> float:
    """Of server and PostgreSQL."""
    return sample.server_us + sample.postgres_us
