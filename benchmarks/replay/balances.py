"""The members' balances, as the service tells them."""

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc

from benchmarks.replay.connections import CALL_TIMEOUT_SECONDS, Metadata, credentials, open_channel
from benchmarks.replay.tills import ReplayError
from loyalty.v1.transaction_service_pb2 import GetBalanceRequest
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub

_AT_ONCE: Final = 64


async def fetch_balances(target: str, api_key: str, member_ids: Sequence[int]) -> dict[int, int]:
    """Points by member_id. Raises ReplayError if the service does not answer or a member does not exist."""
    balances: dict[int, int] = {}
    async with open_channel(target) as channel:
        for first in range(0, len(member_ids), _AT_ONCE):
            some = member_ids[first : first + _AT_ONCE]
            points = await asyncio.gather(*(_fetch(channel, credentials(api_key), member) for member in some))
            balances.update(zip(some, points, strict=True))
    return balances


async def _fetch(channel: grpc.aio.Channel, metadata: Metadata, member_id: int) -> int:
    stub = TransactionServiceStub(channel)
    request = GetBalanceRequest(member_id=member_id)
    try:
        balance = await stub.GetBalance(request, metadata=metadata, timeout=CALL_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        raise ReplayError(f"the balance of member {member_id} cannot be read: {error.details()}") from None
    return balance.balance_points
