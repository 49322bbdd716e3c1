"""Tills under way: clients that send calls, retry what they have no answer to, and remember every reply."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from storage.verify import verify
from tests.chains import Chain
from tests.client import Answer, Till
from tests.requests import Write, accrue, checkout, redeem

MEMBERS: Final = range(1, 41)
# What a till answers by sending the same call again.
TRANSIENT: Final = {
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
    "STORAGE_UNAVAILABLE",
    "OUTCOME_UNKNOWN",
    "SHUTTING_DOWN",
    "DEADLINE_PASSED",
    "QUEUE_FULL",
}
FINAL: Final = {"", "INSUFFICIENT_POINTS"}
CALL_SECONDS: Final = 3.0


class Load:
    """Clients of one chain, until `finish`. Every call is sent until it has a final reply."""

    def __init__(self, chain: Chain, address: str, clients: int = 8) -> None:
        self.acknowledged: dict[str, Answer] = {}
        self.transient: Counter[str] = Counter()
        self._chain = chain
        self._address = address
        self._is_finishing = False
        self._tasks = [asyncio.create_task(self._send_calls(random.Random(seed))) for seed in range(clients)]

    async def finish(self, timeout_seconds: float = 60) -> None:
        """Let every client get the final reply to its last call."""
        self._is_finishing = True
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(*self._tasks)

    async def progress(self, calls: int, timeout_seconds: float = 60) -> None:
        """Wait until so many more calls are acknowledged; fails with the client that fails."""
        wanted = len(self.acknowledged) + calls
        await self.until(lambda: len(self.acknowledged) >= wanted, timeout_seconds)

    async def until(self, condition: Callable[[], bool], timeout_seconds: float = 60) -> None:
        """Wait until the condition holds; fails with the client that fails."""
        async with asyncio.timeout(timeout_seconds):
            while not condition():
                done, _ = await asyncio.wait(self._tasks, timeout=0.02)
                for task in done:
                    task.result()

    async def _send_calls(self, choice: random.Random) -> None:
        async with Till(self._address, self._chain.api_key) as till:
            while not self._is_finishing:
                requests = [some_call(choice) for _ in range(choice.choice([1, 1, 1, 8]))]
                for request, answer in zip(requests, await self._send(till, requests), strict=True):
                    assert request.idempotency_key not in self.acknowledged
                    self.acknowledged[request.idempotency_key] = answer
                    await self._repeat_some(till, choice, request, answer)

    async def _repeat_some(self, till: Till, choice: random.Random, request: Write, answer: Answer) -> None:
        if choice.random() < 0.1:
            [again] = await self._send(till, [request])
            assert again == answer._replace(replayed=True)

    async def _send(self, till: Till, requests: list[Write]) -> list[Answer]:
        """The final replies, however often it takes."""
        answers = await self._try(till, requests)
        while any(answer.reason in TRANSIENT for answer in answers):
            self.transient.update(answer.reason for answer in answers if answer.reason in TRANSIENT)
            await asyncio.sleep(0.1)
            answers = await self._try(till, requests)
        assert all(answer.reason in FINAL for answer in answers), answers
        return answers

    async def _try(self, till: Till, requests: list[Write]) -> list[Answer]:
        if len(requests) == 1:
            return [await till.write(requests[0], CALL_SECONDS)]
        return await till.try_batch(requests, CALL_SECONDS)

    async def prove_acknowledged(self) -> None:
        """The ledger has every acknowledged call, as it was answered and once; `verify` is clean."""
        acknowledged = {key: answer.body for key, answer in self.acknowledged.items()}
        recorded = await self._recorded()
        assert acknowledged.items() <= recorded.items()
        report = await verify(self._chain.dsn)
        assert (report.differences, report.unchecked) == ([], 0)

    async def prove(self) -> None:
        """The same once the load is finished, and the ledger has no other call."""
        await self.prove_acknowledged()
        assert (await self._recorded()).keys() == self.acknowledged.keys()

    async def _recorded(self) -> dict[str, bytes]:
        """The responses in the ledger by their keys, each of which must be there once."""
        rows = await self._chain.query("SELECT idempotency_key, response FROM operation WHERE chain_id = $1")
        recorded = dict(map(tuple, rows))
        assert len(recorded) == len(rows)
        return recorded


def some_call(choice: random.Random) -> Write:
    member_id = choice.choice(MEMBERS)
    named: dict[str, Any] = {"card": f"card-{member_id}"} if choice.random() < 0.3 else {}
    points = choice.randint(1, 5)
    calls: list[Write] = [
        accrue(member_id, points * 10_000, **named),
        redeem(member_id, points, **named),
        checkout(member_id, points, **named),
    ]
    return choice.choice(calls)
