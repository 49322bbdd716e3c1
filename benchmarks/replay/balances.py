"""Where the members stand, as the service tells it."""

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc

from benchmarks.replay.connections import CALL_TIMEOUT_SECONDS, Metadata, credentials, open_channel
from benchmarks.replay.log import Standing, standing_of
from benchmarks.replay.tills import ReplayError
from loyalty.v1.transaction_service_pb2 import GetBalanceRequest
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub

_AT_ONCE: Final = 64


async def fetch_standings(target: str, api_key: str, member_ids: Sequence[int]) -> dict[int, Standing]:
    """By member_id. Raises ReplayError if the service does not answer or a member does not exist."""
    standings: dict[int, Standing] = {}
    async with open_channel(target) as channel:
        for first in range(0, len(member_ids), _AT_ONCE):
            some = member_ids[first : first + _AT_ONCE]
            told = await asyncio.gather(*(_fetch(channel, credentials(api_key), member) for member in some))
            standings.update(zip(some, told, strict=True))
    return standings


async def _fetch(channel: grpc.aio.Channel, metadata: Metadata, member_id: int) -> Standing:
    stub = TransactionServiceStub(channel)
    request = GetBalanceRequest(member_id=member_id)
    try:
        return standing_of(await stub.GetBalance(request, metadata=metadata, timeout=CALL_TIMEOUT_SECONDS))
    except grpc.aio.AioRpcError as error:
        raise ReplayError(f"the balance of member {member_id} cannot be read: {error.details()}") from None
