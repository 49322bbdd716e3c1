"""The floor: PostgreSQL writing what the service would write, and nothing else.

One connection, in each transaction a COPY of the ledger's rows and an UPDATE of their accounts. The rows are
made beforehand by the service's own rules, so they are those that it would have written, hash chain included.
"""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from typing import Final, NamedTuple

import asyncpg

from benchmarks.members import Members
from benchmarks.requests import Requests
from processor.call import CallGroup
from processor.domain.account import Account
from processor.domain.batch import Loaded
from processor.domain.chain import Chain
from processor.domain.operation import Operation
from processor.rpc.convert.sales import accrue_command
from processor.rpc.encoder import ProtobufEncoder
from processor.settlement import Settlement
from storage.directory import PostgresDirectory
from storage.partitions import Partitions
from storage.pool import open_pool

_UPDATE_ACCOUNTS: Final = files(__package__).joinpath("floor.sql").read_text("utf-8")
_OPERATION_COLUMNS: Final = tuple(name.removesuffix("_us") for name in Operation._fields)
# Those that a batch changes.
_ACCOUNT_COLUMNS: Final = Account._fields.index("segments")
_STATEMENT_TIMEOUT_SECONDS: Final = 60


class Batch(NamedTuple):
    """The rows of one transaction, and what they make of the accounts."""

    operations: Sequence[Operation]
    accounts: Sequence[Account]


@dataclass(frozen=True)
class FloorLoad:
    """Accruals of a chain that nobody else writes to, whose members start with nothing."""

    dsn: str
    chain_id: int
    members: int
    zipf_exponent: float
    batch_ops: int

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FloorSession"]:
        """As `Load.open`."""
        async with await open_pool(
            self.dsn, connections=1, statement_timeout_seconds=_STATEMENT_TIMEOUT_SECONDS
        ) as pool:
            directory = PostgresDirectory(pool)
            await directory.refresh()
            partition = await Partitions(pool).name_for(_now_us())
            async with pool.acquire() as connection:
                await connection.execute(f"SET loyalty.chain_id = {self.chain_id}")
                yield FloorSession(self, directory.chain(self.chain_id), connection, partition)


class FloorSession:
    """As `Session`; it knows every account, so it never reads one."""

    def __init__(
        self, load: FloorLoad, chain: Chain, connection: asyncpg.pool.PoolConnectionProxy, partition: str
    ) -> None:
        self._load = load
        self._chain = chain
        self._connection = connection
        self._partition = partition
        self._requests = Requests(Members(load.members, load.zipf_exponent), with_lines=False)
        self._accounts: dict[int, Account] = {}
        self._batches: list[Batch] = []

    def prepare(self, operations: int) -> None:
        """As `Session.prepare`."""
        requests = (self._requests.accrue() for _ in range(operations))
        commands = map(accrue_command, requests)
        batches = iter(lambda: list(islice(commands, self._load.batch_ops)), [])
        self._batches = [self._settle(CallGroup(batch, math.inf)) for batch in batches]

    def _settle(self, group: CallGroup) -> Batch:
        settlement = Settlement(
            self._chain, group.calls, ProtobufEncoder(), now_us=_now_us(), loop_seconds=0, uncertain={}
        )
        member_ids = settlement.wanted().member_ids
        accounts = {member_id: self._account(member_id) for member_id in member_ids}
        settlement.settle(Loaded(accounts, {}, {}, 0, {}, {}))
        written = settlement.written()
        changed = [Account(*change[:-1]) for change in sorted(written.accounts)]
        self._accounts.update((account.member_id, account) for account in changed)
        return Batch(written.operations, changed)

    def _account(self, member_id: int) -> Account:
        return self._accounts.get(member_id) or Account(member_id, 0, 0, b"")

    async def run(self) -> Counter[str]:
        """As `Session.run`; what PostgreSQL refuses ends the benchmark."""
        for batch in self._batches:
            async with self._connection.transaction():
                await self._write(batch)
        return Counter()

    async def _write(self, batch: Batch) -> None:
        await self._connection.copy_records_to_table(
            self._partition, records=batch.operations, columns=_OPERATION_COLUMNS
        )
        columns = zip(*[account[:_ACCOUNT_COLUMNS] for account in batch.accounts], strict=True)
        await self._connection.execute(_UPDATE_ACCOUNTS, self._load.chain_id, *columns)


def _now_us() -> int:
    return time.time_ns() // 1_000
