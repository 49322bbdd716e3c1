"""A service of one's own under load, measured first and then sampled."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from benchmarks.compare.calls import CallLoad
from benchmarks.compare.chains import add_members
from benchmarks.compare.client import BenchmarkError, Client, Load
from benchmarks.compare.measure import Processes, Sample, Subject, measure
from benchmarks.compare.settings import BATCH_OPS, BATCHES_IN_FLIGHT, CONNECTIONS, UNARY_IN_FLIGHT
from benchmarks.compare.shapes import batch_of
from benchmarks.compare.till import Till
from benchmarks.compare.wire import WireLoad
from benchmarks.profile.stacks import Stack, read_stacks
from benchmarks.service import Service, own_service, second_service
from processor.build import this_build
from storage.owner import owner_connection

_WORKERS: Final = 1
_WARM_UP_OPERATIONS: Final = 5_000
# The sampler begins a moment after the load, and must not outlast it.
_START_SECONDS: Final = 3.0
_STACK_BYTES: Final = 32_768


class Transport(StrEnum):
    """As the service's own setting."""

    GRPCIO = "grpcio"
    NATIVE = "native"


class Mode(StrEnum):
    """What is sent."""

    UNARY = "unary"
    BATCH = "batch"


class Plan(NamedTuple):
    """What is to be sampled, how long, and how often in a second."""

    transport: Transport
    mode: Mode
    members: int
    seconds: float
    samples_per_second: int


class Profile(NamedTuple):
    """The stacks of a worker while it computed, and the figures of a run without a sampler."""

    stacks: list[Stack]
    sample: Sample


def run_profile(plan: Plan) -> Profile:
    """Raises BenchmarkError."""
    _perf()
    if not this_build().is_compiled:
        raise BenchmarkError("the sources are all one to perf, Python's interpreter; compile: make compiled")
    with own_service("profile", workers=_WORKERS) as first:
        asyncio.run(_enrol(first, plan.members))
        with _served(first, plan.transport) as service, Client(_load(service, plan)) as client:
            processes = Processes(service.server_pid, service.postgres_pid)
            subject = Subject(plan.mode, client, processes, service.metrics_url)
            rate = measure(subject, _WARM_UP_OPERATIONS).operations_per_second
            sample = measure(subject, _operations(rate, plan.seconds))
            client.prepare(_operations(sample.operations_per_second, plan.seconds + _START_SECONDS))
            with _sampling(service, plan) as stacks:
                client.run()
            return Profile(stacks, sample)


async def _enrol(service: Service, members: int) -> None:
    async with owner_connection(service.dsn) as connection:
        await add_members(connection, service.chain_id, members)
        await connection.execute("VACUUM ANALYZE account")


@contextmanager
def _served(first: Service, transport: Transport) -> Iterator[Service]:
    if transport is Transport.GRPCIO:
        yield first
        return
    with second_service(first, workers=_WORKERS, transport=str(transport)) as second:
        yield second


def _load(service: Service, plan: Plan) -> Load:
    till = Till(service.target, (service.api_key,), CONNECTIONS, plan.members, 0.0)
    if plan.mode is Mode.BATCH:
        return CallLoad(till, batch_of(BATCH_OPS), BATCHES_IN_FLIGHT)
    return WireLoad(till, UNARY_IN_FLIGHT)


def _operations(per_second: float, seconds: float) -> int:
    return max(1, round(per_second * seconds / BATCH_OPS)) * BATCH_OPS


@contextmanager
def _sampling(service: Service, plan: Plan) -> Iterator[list[Stack]]:
    """Sample the worker meanwhile; the stacks are there at the end. Raises BenchmarkError."""
    stacks: list[Stack] = []
    [worker] = psutil.Process(service.server_pid).children()
    with tempfile.TemporaryDirectory(prefix="loyalty-profile-") as directory:
        file = Path(directory) / "perf.data"
        sampler = subprocess.Popen(  # noqa: S603
            _sampler(worker.pid, file, plan), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            yield stacks
            _, said = sampler.communicate()
        finally:
            sampler.kill()
        if sampler.returncode:
            raise BenchmarkError(f"perf can't sample the worker: {said.strip()}")
        stacks += read_stacks(_told(file).splitlines())


def _sampler(pid: int, file: Path, plan: Plan) -> list[str]:
    """By CPU time, so that what waits is not counted; stacks as the libraries themselves tell of them."""
    options = {
        "--event": "cpu-clock",
        "--freq": plan.samples_per_second,
        "--call-graph": f"dwarf,{_STACK_BYTES}",
        "--pid": pid,
        "--output": file,
    }
    words = (str(word) for pair in options.items() for word in pair)
    return [_perf(), "record", *words, "--", "sleep", str(plan.seconds)]


def _told(file: Path) -> str:
    """What perf has sampled, as text. Raises BenchmarkError."""
    command = [_perf(), "script", "--input", str(file), "--fields", "comm,ip,sym,dso"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode:
        raise BenchmarkError(f"perf can't tell what it has sampled: {ended.stderr.strip()}")
    return ended.stdout


def _perf() -> str:
    """Raises BenchmarkError."""
    found = shutil.which("perf")
    if found is None:
        raise BenchmarkError("perf is not here; Debian has it as linux-perf")
    return found
