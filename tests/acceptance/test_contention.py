"""Many batches over the same few members, from two processes at once."""

import asyncio
import random
from collections import defaultdict
from typing import Any

import pytest

from tests.chains import Chain
from tests.client import Till
from tests.requests import Write, accrue, checkout, redeem

pytestmark = pytest.mark.xdist_group("server")

HOT_MEMBERS = range(1, 11)
OUTCOMES = {"", "INSUFFICIENT_POINTS"}


def some_batch(choice: random.Random) -> list[Write]:
    """50 calls in any order of members, every third by card."""
    calls: list[Write] = []
    for number in range(50):
        member_id = choice.choice(HOT_MEMBERS)
        named: dict[str, Any] = {"card": f"card-{member_id}"} if number % 3 == 0 else {}
        points = choice.randint(1, 3)
        kinds: list[Write] = [
            accrue(member_id, points * 10_000, **named),
            redeem(member_id, points, **named),
            checkout(member_id, points, **named),
        ]
        calls.append(choice.choice(kinds))
    return calls


async def test_16_concurrent_batches_over_10_hot_members_from_two_processes(
    wide_till: Till, chain: Chain
) -> None:
    choice = random.Random(2)
    earned: defaultdict[int, int] = defaultdict(int)
    sequences: defaultdict[int, set[int]] = defaultdict(set)
    sent = 0
    for _ in range(3):
        batches = [some_batch(choice) for _ in range(16)]
        replies = await asyncio.gather(*(wide_till.batch(batch) for batch in batches))
        sent += sum(map(len, batches))
        for answer in (answer for answers in replies for answer in answers):
            assert answer.reason in OUTCOMES, answer
            assert not answer.replayed
            if not answer.reason:
                operation = answer.operation
                earned[operation.member_id] += operation.earned_points - operation.redeemed_points
                sequences[operation.member_id].add(operation.member_sequence)
    assert await chain.operation_count() == sent
    for member_id in HOT_MEMBERS:
        balance = await wide_till.balance(member_id)
        history = await wide_till.operations(member_id, page_size=1_000)
        applied = {a.operation.member_sequence: a.operation for _, a in history if not a.reason}
        assert balance.balance_points == earned[member_id]
        assert balance.member_sequence == len(history)
        assert applied.keys() == sequences[member_id]
        assert min(operation.balance_points for operation in applied.values()) >= 0
