"""The usual way to build such a service: grpc.aio and asyncpg, and a transaction for each call.

The same tables, rules, replies and durability, and as few round trips as it can do with. It knows a single
chain and asks for no API key, which costs it nothing.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import grpc
from asyncpg.pool import PoolConnectionProxy

from benchmarks.compare.own_chain import OwnChain, now_us
from loyalty.v1.transaction_service_pb2 import AccrueRequest
from processor.call import CallGroup
from processor.domain.account import Account
from processor.domain.batch import Loaded
from processor.domain.chain import Chain
from processor.domain.command import Command
from processor.domain.operation import Operation, Recorded
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.convert.sales import accrue_command
from processor.rpc.encoder import ProtobufEncoder
from processor.settlement import Settlement
from storage.partitions import Partitions

_CONNECTIONS: Final = 32
_COLUMNS: Final = tuple(name.removesuffix("_us") for name in Operation._fields)
_LOCK_ACCOUNT: Final = """
SELECT member_id, balance_points, member_sequence, entry_hash, state, segments, status
FROM account WHERE chain_id = $1 AND member_id = $2 FOR UPDATE
"""
_UPDATE_ACCOUNT: Final = """
UPDATE account SET balance_points = $3, member_sequence = $4, entry_hash = $5, state = $6
WHERE chain_id = $1 AND member_id = $2
"""
_READ_RECORDED: Final = """
SELECT outcome, fingerprint, response, entry_hash, occurred_at
FROM operation WHERE chain_id = $1 AND idempotency_key = $2
"""


@dataclass(frozen=True)
class RowAtATime:
    """Accrue for the members of a chain, in this month's partition."""

    own: OwnChain

    @asynccontextmanager
    async def open(self) -> AsyncIterator[grpc.GenericRpcHandler]:
        """As `Handlers.open`."""
        async with self.own.pool(_CONNECTIONS) as (pool, chain):
            handler = _Accrue(pool, chain, await Partitions(pool).name_for(now_us()))
            yield _method_handlers(handler)


def _method_handlers(accrue: "_Accrue") -> grpc.GenericRpcHandler:
    method: Any = grpc.unary_unary_rpc_method_handler(
        accrue.answer, request_deserializer=AccrueRequest.FromString
    )
    return grpc.method_handlers_generic_handler("loyalty.v1.TransactionService", {"Accrue": method})


class _Accrue:
    def __init__(self, pool: asyncpg.Pool, chain: Chain, partition: str) -> None:
        self._pool = pool
        self._chain = chain
        self._encoder = ProtobufEncoder()
        values = ", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 1))
        self._insert = f"INSERT INTO {partition} ({', '.join(_COLUMNS)}) VALUES ({values})"  # noqa: S608 - ours

    async def answer(self, request: AccrueRequest, context: Any) -> bytes:
        command = accrue_command(request)
        async with self._pool.acquire() as connection:
            reply = await self._apply(connection, command)
        if reply.outcome is not Outcome.APPLIED:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, reply.outcome.name)
        return reply.body

    async def _apply(self, connection: PoolConnectionProxy, command: Command) -> Reply:
        """A repeat is met by the unique index, so that a new call need not look."""
        try:
            return await self._try(connection, command, [])
        except asyncpg.UniqueViolationError:
            rows = await connection.fetch(_READ_RECORDED, self._chain.chain_id, command.idempotency_key)
            recorded = [Recorded(Outcome(outcome), *others) for outcome, *others in rows]
            return await self._try(connection, command, recorded)

    async def _try(
        self, connection: PoolConnectionProxy, command: Command, recorded: list[Recorded]
    ) -> Reply:
        async with connection.transaction():
            row = await connection.fetchrow(_LOCK_ACCOUNT, self._chain.chain_id, command.member_id)
            accounts = {command.member_id: Account(*row)} if row else {}
            settlement = self._settle(
                command, Loaded(accounts, {}, {command.idempotency_key: recorded}, 0, {}, {})
            )
            await self._write(connection, settlement)
        [reply] = settlement.replies
        assert reply
        return reply

    def _settle(self, command: Command, loaded: Loaded) -> Settlement:
        loop_seconds = asyncio.get_running_loop().time()
        calls = CallGroup([command], math.inf).calls
        settlement = Settlement(
            self._chain, calls, self._encoder, now_us=now_us(), loop_seconds=loop_seconds, uncertain={}
        )
        settlement.settle(loaded)
        return settlement

    async def _write(self, connection: PoolConnectionProxy, settlement: Settlement) -> None:
        for operation in settlement.operations:
            await connection.execute(self._insert, *operation)
        for change in settlement.written().accounts:
            await connection.execute(_UPDATE_ACCOUNT, self._chain.chain_id, *change.account[:5])
