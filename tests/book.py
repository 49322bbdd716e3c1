"""One chain by the rules alone: calls are settled as in a lane, with dictionaries in storage's place."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Final

from processor.call import Call, CallGroup
from processor.domain.account import Account, CardHolder
from processor.domain.batch import Loaded
from processor.domain.chain import Chain
from processor.domain.command import Command
from processor.domain.decision import Decision
from processor.domain.operation import (
    Follower,
    Operation,
    Original,
    account_after,
    original_from,
    recorded_from,
)
from processor.domain.outcomes import Outcome
from processor.domain.program import Program
from processor.domain.standing import Standing
from processor.domain.state import MemberState, Tally, decode_state
from processor.ports import Reply
from processor.settlement import Settlement

DAY_US: Final = 86_400 * 1_000_000
START_US: Final = 1_783_000_000_000_000  # 2026-07-02


class LastAnswer:
    """An encoder that keeps what it was to encode."""

    def __init__(self) -> None:
        self.decision: Decision | None = None
        self.standing: Standing | None = None
        self.details: Mapping[str, object] = {}

    def applied(self, operation: Operation, decision: Decision, standing: Standing) -> bytes:
        """As `Encoder.applied`."""
        self.decision, self.standing = decision, standing
        return repr((operation.idempotency_key, decision.outcome)).encode()

    def refused(self, outcome: Outcome, details: Mapping[str, object]) -> bytes:
        """As `Encoder.refused`."""
        self.details = details
        return outcome.name.encode()


class Book:
    """The accounts of some members, and every operation in order."""

    def __init__(self, programs: Sequence[Program], member_ids: Sequence[int], segments: str = "") -> None:
        self.chain = Chain(1, "chain", 400 * 86_400, 600, tuple(programs))
        self.first = {member_id: Account(member_id, 0, 0, b"", b"", segments) for member_id in member_ids}
        self.accounts = dict(self.first)
        self.cards: dict[str, CardHolder] = {}
        self.tallies: dict[str, Tally] = {}
        self.operations: list[Operation] = []
        self.answer = LastAnswer()

    def apply(self, command: Command, now_us: int) -> Reply:
        """Settle one call at a time of the server's."""
        [reply] = self.apply_all([command], now_us)
        return reply

    def apply_all(self, commands: Sequence[Command], now_us: int) -> list[Reply]:
        """Settle calls as one batch."""
        calls = asyncio.run(_calls(commands))
        settlement = Settlement(self.chain, calls, self.answer, now_us=now_us, loop_seconds=0, uncertain={})
        wanted = settlement.wanted()
        originals = {key: self._originals(key) for key in wanted.original_keys}
        recorded = {row.idempotency_key: [recorded_from(row)] for row in self.operations}
        settlement.settle(Loaded(dict(self.accounts), self.cards, recorded, 0, originals, self.tallies))
        written = settlement.written()
        for change in written.accounts:
            assert self.accounts[change.account.member_id].member_sequence == change.expected_sequence
            self.accounts[change.account.member_id] = change.account
        self.operations += written.operations
        assert all(reply and reply.outcome is not Outcome.INTERNAL_ERROR for reply in settlement.replies)
        return [reply for reply in settlement.replies if reply]

    def _originals(self, key: str) -> list[Original]:
        return [
            original_from(operation)._replace(followers=self._followers(operation))
            for operation in self.operations
            if operation.idempotency_key == key and operation.outcome is Outcome.APPLIED
        ]

    def _followers(self, original: Operation) -> tuple[Follower, ...]:
        return tuple(
            Follower(operation.kind, operation.effects)
            for operation in self.operations
            if operation.original_key == original.idempotency_key
            and operation.member_id == original.member_id
            and operation.outcome is Outcome.APPLIED
        )

    def state(self, member_id: int) -> MemberState:
        """The member's state, decoded."""
        return decode_state(self.accounts[member_id].state)

    def rebuilt(self) -> dict[int, Account]:
        """The accounts as they follow from the operations alone."""
        accounts = dict(self.first)
        for operation in self.operations:
            accounts[operation.member_id] = account_after(accounts[operation.member_id], operation)
        return accounts


async def _calls(commands: Sequence[Command]) -> list[Call]:
    return CallGroup(commands, math.inf).calls
