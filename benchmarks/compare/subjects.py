"""All that is measured in the rounds, each with a client process of its own."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Final, NamedTuple

from benchmarks.compare.calls import CallLoad
from benchmarks.compare.chains import Chains, members_of_one
from benchmarks.compare.client import Client, Load
from benchmarks.compare.empty import EmptyHandlers
from benchmarks.compare.floor import FloorLoad
from benchmarks.compare.measure import Processes, Subject
from benchmarks.compare.names import (
    BASKET,
    BATCH,
    CHAINS,
    EMPTY,
    FLOOR,
    HOT_BATCH,
    HOT_UNARY,
    NATIVE,
    PGBENCH,
    RICH,
    ROW,
    STREAM,
    TRACED,
    UNARY,
)
from benchmarks.compare.own_chain import OwnChain
from benchmarks.compare.pgbench import PgbenchLoad, find_pgbench, make_pgbench_database
from benchmarks.compare.row_at_a_time import RowAtATime
from benchmarks.compare.server_process import Handlers, serving
from benchmarks.compare.settings import (
    BATCH_OPS,
    BATCHES_IN_FLIGHT,
    CONNECTIONS,
    MESSAGE_OPS,
    UNARY_IN_FLIGHT,
    Settings,
)
from benchmarks.compare.shapes import CHECKOUT, batch_of, stream_of
from benchmarks.compare.streams import StreamLoad
from benchmarks.compare.till import Till
from benchmarks.compare.tracing import SAMPLE_RATIO
from benchmarks.compare.wire import WireLoad
from benchmarks.service import Service, second_service

# What tells of rules, and nothing of a target.
_ONLY_IN_FULL: Final = frozenset({RICH, BASKET})
# Calls by grpcio of which each takes a server a millisecond or so.
_SLOW: Final = frozenset({ROW, UNARY, HOT_UNARY, CHAINS, RICH, BASKET, TRACED})


class World(NamedTuple):
    """A service with its chains, its twin with the native transport, and where the traced one sends spans."""

    service: Service
    native: Service | None
    chains: Chains
    collector_url: str
    settings: Settings

    def till(self, **changes: object) -> Till:
        """One that sends to the service for its own chain, but for the changes."""
        service, settings = self.service, self.settings
        till = Till(service.target, (service.api_key,), CONNECTIONS, settings.members, settings.zipf)
        return replace(till, **changes)  # type: ignore[arg-type] # each is a field of Till

    def own_chain(self, chain_id: int) -> OwnChain:
        """One of those that only one subject writes to."""
        return OwnChain(self.service.dsn, chain_id, self.settings.members, self.settings.zipf)


@contextmanager
def open_subjects(world: World) -> Iterator[Sequence[Subject]]:
    """Start whatever they need, for as long as the block lasts. Raises BenchmarkError."""
    with ExitStack() as stack:
        subjects = [*_baselines(world, stack), *_services(world, stack)]
        yield subjects


def _baselines(world: World, stack: ExitStack) -> Iterator[Subject]:
    """What the service is measured by."""
    postgres = world.service.postgres_pid
    floor = FloorLoad(world.own_chain(world.chains.floor_id), BATCH_OPS)
    yield Subject(FLOOR, stack.enter_context(Client(floor)), Processes(None, postgres))
    if program := find_pgbench():
        load = PgbenchLoad(program, asyncio.run(make_pgbench_database(program, world.service.dsn)))
        yield Subject(PGBENCH, stack.enter_context(Client(load)), Processes(None, postgres))
    yield _served(EMPTY, EmptyHandlers(), world, stack)
    yield _served(ROW, RowAtATime(world.own_chain(world.chains.row_id)), world, stack)


def _served(name: str, handlers: Handlers, world: World, stack: ExitStack) -> Subject:
    server = stack.enter_context(serving(handlers))
    load = WireLoad(world.till(target=server.target), UNARY_IN_FLIGHT)
    processes = Processes(server.pid, world.service.postgres_pid)
    return Subject(name, stack.enter_context(Client(load)), processes, is_slow=name in _SLOW)


def _services(world: World, stack: ExitStack) -> Iterator[Subject]:
    """The service in all that is asked of it."""
    for name, load in _loads(world):
        if not (name in _ONLY_IN_FULL and world.settings.is_quick):
            yield _subject(name, load, world.service, stack)
    if world.native:
        yield _subject(NATIVE, _unary(world.till(target=world.native.target)), world.native, stack)
    traced = stack.enter_context(_traced_service(world))
    yield _subject(TRACED, _unary(world.till(target=traced.target)), traced, stack)


def _subject(name: str, load: Load, service: Service, stack: ExitStack) -> Subject:
    processes = Processes(service.server_pid, service.postgres_pid)
    return Subject(name, stack.enter_context(Client(load)), processes, service.metrics_url, name in _SLOW)


def _loads(world: World) -> Iterator[tuple[str, Load]]:
    """All that go to the one service."""
    till = world.till()
    one_member = world.till(members=1)
    rich = world.till(api_keys=(world.chains.rich_api_key,))
    members = members_of_one(world.settings.members)
    many = world.till(api_keys=world.chains.many_api_keys, members=members)
    yield UNARY, _unary(till)
    yield HOT_UNARY, _unary(one_member)
    yield CHAINS, _unary(many)
    yield RICH, _unary(rich)
    yield BASKET, CallLoad(rich, CHECKOUT, UNARY_IN_FLIGHT)
    yield BATCH, CallLoad(till, batch_of(BATCH_OPS), BATCHES_IN_FLIGHT)
    yield HOT_BATCH, CallLoad(one_member, batch_of(BATCH_OPS), BATCHES_IN_FLIGHT)
    yield STREAM, StreamLoad(till, stream_of(MESSAGE_OPS))


def _unary(till: Till) -> Load:
    return WireLoad(till, UNARY_IN_FLIGHT)


@contextmanager
def native_service(service: Service, workers: int) -> Iterator[Service | None]:
    """The twin with the native transport; None where that is not installed."""
    if find_spec("pygrpc_native") is None:
        yield None
        return
    with second_service(service, workers=workers, transport="native") as native:
        yield native


@contextmanager
def _traced_service(world: World) -> Iterator[Service]:
    with second_service(
        world.service,
        {"OTEL_EXPORTER_OTLP_ENDPOINT": world.collector_url},
        workers=world.settings.workers,
        trace="otlp",
        trace_sample_ratio=SAMPLE_RATIO,
    ) as traced:
        yield traced
