"""An idle service: one call at a time, and beside each the transaction that it takes, without a service."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from benchmarks.compare.client import Answers
from benchmarks.compare.own_chain import Books, OwnChain, Settled
from benchmarks.compare.percentiles import CALL, TRANSACTION, percentiles
from benchmarks.compare.shapes import ACCRUE
from benchmarks.compare.till import TIMEOUT_SECONDS, Till, method_path
from storage.ledger import PostgresLedger
from storage.partitions import Partitions


@dataclass(frozen=True)
class IdleLoad:
    """Calls of the till, and transactions of a chain of their own."""

    till: Till
    own: OwnChain

    @asynccontextmanager
    async def open(self) -> AsyncIterator["IdleSession"]:
        """As `Load.open`."""
        async with self.till.channels() as channels, self.own.pool(connections=1) as (pool, chain):
            partitions = Partitions(pool)
            await partitions.load()
            ledger = PostgresLedger(pool, partitions, on_commit=lambda _: None)
            call: Any = channels[0].unary_unary(method_path(ACCRUE.method))
            yield IdleSession(self, call, Books(self.own, chain), ledger)


class IdleSession:
    """As `Session`: call and transaction in turn, so that the same moments meet both."""

    def __init__(self, load: IdleLoad, call: Any, books: Books, ledger: PostgresLedger) -> None:
        self._load = load
        self._call = call
        self._books = books
        self._ledger = ledger
        self._requests = load.till.requests()
        self._metadata = load.till.metadata()
        self._pairs: list[tuple[bytes, Settled]] = []

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`: so many pairs."""
        messages = ACCRUE.messages(self._requests, operations)
        self._pairs = list(zip(messages, self._books.settle(operations, 1), strict=True))

    async def run(self) -> Answers:
        """As `Session.run`."""
        calls, transactions = [], []
        for message, settled in self._pairs:
            started = perf_counter()
            await self._call(message, metadata=next(self._metadata), timeout=TIMEOUT_SECONDS)
            between = perf_counter()
            await self._write(settled)
            calls.append(between - started)
            transactions.append(perf_counter() - between)
        latencies = {CALL: percentiles(calls), TRANSACTION: percentiles(transactions)}
        return Answers(Counter(), latencies=latencies)

    async def _write(self, settled: Settled) -> None:
        """The statements of the service, by its own storage layer: what to write is known beforehand."""
        wanted, written = settled
        times_us = [operation.occurred_at_us for operation in written.operations]
        async with self._ledger.transaction(self._load.own.chain_id, times_us, locking=False) as transaction:
            await transaction.load(wanted)
            await transaction.save(written)
