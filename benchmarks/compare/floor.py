"""The floor: PostgreSQL writing what the service would write, and nothing else.

One connection, in each transaction a COPY of the ledger's rows and an UPDATE of their accounts. The rows are
made beforehand by the service's own rules, so they are those that it would have written, hash chain included.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, NamedTuple

import asyncpg

from benchmarks.compare.client import Answers
from benchmarks.compare.own_chain import Books, OwnChain, Settled, accounts_after, now_us
from processor.domain.account import Account
from processor.domain.operation import Operation
from storage.partitions import Partitions

_UPDATE_ACCOUNTS: Final = files(__package__).joinpath("floor.sql").read_text("utf-8")
_OPERATION_COLUMNS: Final = tuple(name.removesuffix("_us") for name in Operation._fields)
# Those that a batch changes.
_ACCOUNT_COLUMNS: Final = Account._fields.index("segments")


class Batch(NamedTuple):
    """The rows of one transaction, and what they make of the accounts."""

    operations: Sequence[Operation]
    accounts: Sequence[Account]


@dataclass(frozen=True)
class FloorLoad:
    """Accruals, `batch_ops` a transaction."""

    own: OwnChain
    batch_ops: int

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FloorSession"]:
        """As `Load.open`."""
        async with self.own.pool(connections=1) as (pool, chain):
            partition = await Partitions(pool).name_for(now_us())
            async with pool.acquire() as connection:
                yield FloorSession(self, Books(self.own, chain), connection, partition)


class FloorSession:
    """As `Session`; it knows every account, so it never reads one."""

    def __init__(
        self, load: FloorLoad, books: Books, connection: asyncpg.pool.PoolConnectionProxy, partition: str
    ) -> None:
        self._load = load
        self._books = books
        self._connection = connection
        self._partition = partition
        self._batches: list[Batch] = []

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        settled = self._books.settle(operations, self._load.batch_ops)
        self._batches = [_batch(each) for each in settled]

    async def run(self) -> Answers:
        """As `Session.run`; what PostgreSQL refuses ends the benchmark."""
        for batch in self._batches:
            async with self._connection.transaction():
                await self._write(batch)
        return Answers(Counter())

    async def _write(self, batch: Batch) -> None:
        await self._connection.copy_records_to_table(
            self._partition, records=batch.operations, columns=_OPERATION_COLUMNS
        )
        columns = zip(*[account[:_ACCOUNT_COLUMNS] for account in batch.accounts], strict=True)
        await self._connection.execute(_UPDATE_ACCOUNTS, self._load.own.chain_id, *columns)


def _batch(settled: Settled) -> Batch:
    return Batch(settled.written.operations, accounts_after(settled.written))
