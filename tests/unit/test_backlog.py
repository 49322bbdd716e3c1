"""How much the lanes of a worker take on."""

import math

from processor.backlog import Backlog, bytes_held
from processor.call import Call, CallGroup
from processor.domain.command import Command, LineItem
from processor.metrics import BatcherMetrics
from processor.rpc.convert.sales import accrue_command
from tests.unit.rpc_requests import accrue_request

SALE: Command = accrue_command(accrue_request())
LONG = SALE._replace(receipt=SALE.receipt._replace(lines=(LineItem("sku", 1_000, 1, ""),) * 50))


def backlog(*, bytes_max: int = 10**9) -> Backlog:
    return Backlog(BatcherMetrics(), chain_ops_max=3, bytes_max=bytes_max)


def calls(*commands: Command) -> list[Call]:
    return CallGroup(commands, math.inf).calls


async def test_a_chain_that_fills_its_queue_leaves_the_others_theirs() -> None:
    full = backlog()
    assert full.add(1, 2, 0)
    assert not full.add(1, 2, 0)
    assert full.add(1, 1, 0)
    assert not full.add(1, 1, 0)
    assert full.add(2, 3, 0)


async def test_what_is_done_with_makes_room_for_as_much() -> None:
    full = backlog(bytes_max=bytes_held(LONG) + bytes_held(SALE))
    assert full.add(1, 2, bytes_held(LONG) + bytes_held(SALE))
    assert not full.add(2, 1, 1)
    full.remove(1, calls(SALE))
    assert full.ops(1) == 1
    assert not full.add(2, 1, bytes_held(SALE) + 1)
    assert full.add(2, 1, bytes_held(SALE))
    full.remove(1, calls(LONG))
    full.remove(2, calls(SALE))
    assert (full.ops(1), full.ops(2)) == (0, 0)


async def test_what_is_larger_than_the_bound_is_taken_on_alone() -> None:
    small = backlog(bytes_max=bytes_held(LONG) - 1)
    assert small.add(1, 1, bytes_held(SALE))
    assert not small.has_memory(bytes_held(LONG))
    small.remove(1, calls(SALE))
    assert small.add(1, 1, bytes_held(LONG))
    assert not small.has_memory(1)


async def test_room_that_is_reserved_is_free_again_afterwards() -> None:
    small = backlog(bytes_max=100)
    with small.reserved(90):
        assert not small.add(1, 1, 11)
        assert small.add(1, 1, 10)
    assert small.add(1, 1, 90)
