"""Unary calls by the project's load generator, which takes a tenth of the CPU time of a gRPC library."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.compare.client import Answers, BenchmarkError, Load, Percentiles, Session
from benchmarks.compare.percentiles import CALL
from benchmarks.compare.till import TIMEOUT_SECONDS, Till
from benchmarks.load import session as generator
from benchmarks.load.wire import UnreachableError

_OPEN_LOOP_MAX: Final = 20_000


@dataclass(frozen=True)
class WireLoad:
    """Accruals, `in_flight` at a time; with a rate so many arrive by chance, be others answered or not."""

    till: Till
    in_flight: int = _OPEN_LOOP_MAX
    calls_per_second: float | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["WireSession"]:
        """As `Load.open`."""
        with self._load().connect() as session:
            yield WireSession(session)

    def _load(self) -> generator.Load:
        till = self.till
        first, *others = till.api_keys
        return generator.Load(
            till.target,
            first,
            till.members,
            till.zipf_exponent,
            connections=till.connections,
            in_flight=self.in_flight,
            rate=self.calls_per_second,
            timeout_seconds=TIMEOUT_SECONDS,
            further_api_keys=tuple(others),
        )


class WireSession:
    """As `Session`; a latency counts from when the call was due."""

    def __init__(self, session: generator.Session) -> None:
        self._session = session

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        self._session.prepare(operations)

    async def run(self) -> Answers:
        """As `Session.run`. Raises BenchmarkError."""
        try:
            failures = await self._session.run()
        except UnreachableError as error:
            raise BenchmarkError(str(error)) from None
        tally = self._session.tally
        latency = Percentiles(tally.latencies.at_ms(50), tally.latencies.at_ms(99))
        return Answers(failures, latencies={CALL: latency}, seconds=tally.seconds)


# --- loads that may fail ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted:
    """A load whose failed calls are counted, and do not end the benchmark."""

    load: Load

    def open(self) -> AbstractAsyncContextManager[Session]:
        """As `Load.open`."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Session]:
        async with self.load.open() as session:
            yield _CountedSession(session)


class _CountedSession:
    def __init__(self, session: Session) -> None:
        self._session = session

    def prepare(self, operations: int) -> None:
        self._session.prepare(operations)

    async def run(self) -> Answers:
        answers = await self._session.run()
        return answers._replace(failures=Counter(), failed_calls=answers.failures.total())
