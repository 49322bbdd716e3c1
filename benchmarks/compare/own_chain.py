"""A chain that one subject alone writes to: what the service would write for it, by its own rules."""

import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

import asyncpg

from benchmarks.members import Members
from benchmarks.requests import Requests
from processor.call import CallGroup
from processor.domain.account import Account
from processor.domain.batch import Loaded, Wanted, Written
from processor.domain.chain import Chain
from processor.rpc.convert.sales import accrue_command
from processor.rpc.encoder import ProtobufEncoder
from processor.settlement import Settlement
from storage.directory import PostgresDirectory
from storage.pool import open_pool

_STATEMENT_TIMEOUT_SECONDS: Final = 60


@dataclass(frozen=True)
class OwnChain:
    """Its members start with nothing and are drawn by Zipf's law; `dsn` has a query part."""

    dsn: str
    chain_id: int
    members: int
    zipf_exponent: float = 0.0

    @asynccontextmanager
    async def pool(self, connections: int) -> AsyncIterator[tuple[asyncpg.Pool, Chain]]:
        """Connections as the service has them, but for this chain alone, and the chain with its program."""
        dsn = f"{self.dsn}&loyalty.chain_id={self.chain_id}"
        async with await open_pool(
            dsn, connections=connections, statement_timeout_seconds=_STATEMENT_TIMEOUT_SECONDS
        ) as pool:
            directory = PostgresDirectory(pool)
            await directory.refresh()
            yield pool, directory.chain(self.chain_id)


class Settled(NamedTuple):
    """What one transaction reads, and what it writes."""

    wanted: Wanted
    written: Written


class Books:
    """The members' accounts as what was settled leaves them, so that none has to be read."""

    def __init__(self, own: OwnChain, chain: Chain) -> None:
        self._chain = chain
        self._requests = Requests(Members(own.members, own.zipf_exponent), with_lines=False)
        self._accounts: dict[int, Account] = {}

    def settle(self, operations: int, batch_ops: int) -> list[Settled]:
        """Settle so many accruals, `batch_ops` a transaction; they must be written in this order."""
        commands = (accrue_command(self._requests.accrue()) for _ in range(operations))
        batches = iter(lambda: list(islice(commands, batch_ops)), [])
        return [self._settle(CallGroup(batch, math.inf)) for batch in batches]

    def _settle(self, group: CallGroup) -> Settled:
        settlement = Settlement(
            self._chain, group.calls, ProtobufEncoder(), now_us=now_us(), loop_seconds=0, uncertain={}
        )
        wanted = settlement.wanted()
        accounts = {member_id: self._account(member_id) for member_id in wanted.member_ids}
        settlement.settle(Loaded(accounts, {}, {}, 0, {}, {}))
        written = settlement.written()
        self._accounts.update((account.member_id, account) for account in accounts_after(written))
        return Settled(wanted, written)

    def _account(self, member_id: int) -> Account:
        return self._accounts.get(member_id) or Account(member_id, 0, 0, b"")


def accounts_after(written: Written) -> Sequence[Account]:
    """The accounts that it changes, as it leaves them, in the order in which batches lock them."""
    return [change.account for change in written.accounts]


def now_us() -> int:
    """Unix microseconds."""
    return time.time_ns() // 1_000
