"""One run of a batch over the state that was loaded for it: plain data in and out, no I/O."""

from collections.abc import Mapping, Sequence

from processor.call import Call
from processor.defects import report_defect
from processor.domain.account import Account
from processor.domain.batch import AccountChange, Loaded, Wanted
from processor.domain.chain import Chain
from processor.domain.command import Command
from processor.domain.decide import decide
from processor.domain.fingerprint import differing_fields, fingerprint
from processor.domain.operation import (
    Operation,
    Recorded,
    account_after,
    draft_operation,
    recorded_from,
    seal,
)
from processor.domain.outcomes import Outcome
from processor.domain.times import format_us
from processor.ports import Encoder, Reply


class Settlement:
    """Settles the calls of one chain in order, each on the state that the ones before it left.

    `replies` has one entry per call, None for a call that nobody waits for any more. `operations` are to be
    appended and `account_changes` to be saved before any reply may be given.
    """

    def __init__(
        self,
        chain: Chain,
        calls: Sequence[Call],
        encoder: Encoder,
        *,
        now_us: int,
        loop_seconds: float,
        uncertain: Mapping[str, Operation],
    ) -> None:
        """`loop_seconds` is the event loop's time, that of deadlines.

        `uncertain` holds, by key, the operations of runs of this batch whose commit had an unknown outcome.
        """
        self.chain = chain
        self._calls = calls
        self._encoder = encoder
        self._now_us = now_us
        self._loop_seconds = loop_seconds
        self._uncertain = uncertain
        self._program = chain.program_at(now_us)
        self._earliest_us, self._latest_us = chain.window_us(now_us)
        self._changed: dict[int, Account] = {}
        self._ours: dict[str, Operation] = {}
        self._unclaimed: set[str] = set()
        self.operations: list[Operation] = []
        self.replies: list[Reply | None] = []

    def occurred_at_us(self) -> list[int]:
        """The times of the operations that the batch may append."""
        commands = [call.command for call in self._calls]
        return [command.occurred_at_us for command in commands if self._is_in_window(command)]

    def wanted(self) -> Wanted:
        """What must be loaded: also keys older than the window if a call names such a time."""
        commands = [call.command for call in self._calls]
        times_us = [command.occurred_at_us for command in commands]
        return Wanted(
            list({command.member_id for command in commands if not command.card}),
            list({command.card for command in commands if command.card}),
            list({command.idempotency_key for command in commands}),
            min(self._earliest_us, *times_us),
            self._earliest_us,
        )

    def account_changes(self, loaded: Loaded) -> list[AccountChange]:
        """The accounts as the appended operations leave them."""
        return [
            AccountChange(*account, loaded.accounts[member_id].member_sequence)
            for member_id, account in self._changed.items()
        ]

    @property
    def effects(self) -> list[Operation]:
        """What the batch has added to the ledger once it is committed, by this run or an uncertain one."""
        return [*self._ours.values(), *self.operations]

    def settle(self, loaded: Loaded) -> None:
        """Settle every call; a defect met by one of them is that one's INTERNAL_ERROR."""
        self._ours = {
            key: operation
            for key, operation in self._uncertain.items()
            if recorded_from(operation) in loaded.recorded.get(key, ())
        }
        self._unclaimed = set(self._ours)
        for call in self._calls:
            try:
                self.replies.append(self._settle_call(call, loaded))
            except Exception as defect:  # noqa: BLE001 - one call's defect is not its neighbours'
                request_id = report_defect("call not decided", defect, chain_id=self.chain.chain_id)
                self.replies.append(self._refuse(Outcome.INTERNAL_ERROR, request_id=request_id))

    def _settle_call(self, call: Call, loaded: Loaded) -> Reply | None:
        if not call.is_waiting:
            return None
        command = call.command
        payload = fingerprint(command)
        repeated = self._repeat(command, payload, loaded)
        if repeated:
            return repeated
        if call.deadline <= self._loop_seconds:
            return self._refuse(Outcome.DEADLINE_PASSED)
        if not self._is_in_window(command):
            return self._refuse_time()
        member_id = loaded.members_by_card.get(command.card, 0) if command.card else command.member_id
        account = self._changed.get(member_id) or loaded.accounts.get(member_id)
        if not account:
            return self._refuse(Outcome.MEMBER_NOT_FOUND)
        return self._record(command, payload, account, loaded)

    def _repeat(self, command: Command, payload: bytes, loaded: Loaded) -> Reply | None:
        """Answer from the ledger, or refuse the reuse of the key for another payload; None if it is free."""
        key = command.idempotency_key
        may_be_new = self._is_in_window(command)
        bound: Recorded | None = None
        for recorded in loaded.recorded.get(key, ()):
            if recorded.fingerprint == payload:
                was_ours = key in self._unclaimed
                self._unclaimed.discard(key)
                return Reply(recorded.outcome, recorded.response, replayed=not was_ours)
            if recorded.occurred_at_us >= loaded.binding_from_us or not may_be_new:
                bound = recorded
        if bound is None:
            return None
        differing = ",".join(differing_fields(bound.fingerprint, payload))
        return self._refuse(Outcome.IDEMPOTENCY_KEY_REUSED, differing_fields=differing)

    def _record(self, command: Command, payload: bytes, account: Account, loaded: Loaded) -> Reply:
        decision = decide(account, command, self._program)
        draft = draft_operation(
            command,
            account,
            decision,
            chain_id=self.chain.chain_id,
            payload_fingerprint=payload,
            program_version=self._program.version,
            recorded_at_us=self._now_us,
        )
        if decision.outcome is Outcome.APPLIED:
            response = self._encoder.applied(draft)
        else:
            response = self._encoder.refused(decision.outcome, decision.details)
        operation = seal(draft, response, account.entry_hash)
        self.operations.append(operation)
        self._changed[account.member_id] = account_after(operation)
        loaded.recorded.setdefault(command.idempotency_key, []).append(recorded_from(operation))
        return Reply(decision.outcome, response, replayed=False)

    def _is_in_window(self, command: Command) -> bool:
        return self._earliest_us <= command.occurred_at_us <= self._latest_us

    def _refuse_time(self) -> Reply:
        return self._refuse(
            Outcome.OCCURRED_AT_OUT_OF_WINDOW,
            earliest=format_us(self._earliest_us),
            latest=format_us(self._latest_us),
        )

    def _refuse(self, outcome: Outcome, **details: object) -> Reply:
        return Reply(outcome, self._encoder.refused(outcome, details), replayed=False)
