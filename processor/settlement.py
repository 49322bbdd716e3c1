"""One run of a batch over the state that was loaded for it: plain data in and out, no I/O."""

from collections.abc import Mapping, Sequence
from typing import Final

from processor.batch_state import BatchState
from processor.call import Call
from processor.defects import report_defect
from processor.domain.account import Account, CardStatus
from processor.domain.admission import barred, is_made_already
from processor.domain.batch import Loaded, Wanted, Written
from processor.domain.chain import Chain
from processor.domain.command import (
    NO_RECEIPT,
    SYSTEM_KEY_PREFIX,
    Command,
    Kind,
    is_due_command,
    lines_text,
)
from processor.domain.decide import decide
from processor.domain.decision import Decision
from processor.domain.fingerprint import differing_fields, fingerprint
from processor.domain.maturity import Matured, next_matured
from processor.domain.operation import Operation, Recorded, draft_operation, recorded_from, seal, state_after
from processor.domain.outcomes import Outcome, is_recorded
from processor.domain.program import Program
from processor.domain.records import record
from processor.domain.rules.limits import count_shared, limits_shops, shared_subjects
from processor.domain.situation import Situation
from processor.domain.standing import standing_after
from processor.domain.times import format_us
from processor.ports import Encoder, Reply

_APPLIED: Final = Outcome.APPLIED
_CARD_OPEN: Final = CardStatus.OPEN
_ENROLLING: Final = frozenset({Kind.ACCRUE, Kind.CHECKOUT})
_UNKEYED_REPLY: Final = Reply(Outcome.APPLIED, b"", replayed=False)


class Settlement:
    """Settles the calls of one chain in order, each on the state that the ones before it left.

    `replies` has one entry per call, None for a call that nobody waits for any more. What is `written` is to
    be saved before any reply may be given.
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
        self._counts_shops = any(map(limits_shops, chain.programs))
        self._earliest_us, self._latest_us = chain.window_us(now_us)
        self._keyed = [call.command for call in calls if not is_due_command(call.command)]
        self._keys = [command.idempotency_key for command in self._keyed]
        self._original_keys = list({command.original_key for command in self._keyed if command.original_key})
        self._state: BatchState
        self._situation: Situation
        self._ours: dict[str, Operation] = {}
        self._unclaimed: set[str] = set()
        self._strangers: set[str] = set()
        self.replies: list[Reply | None] = []

    def occurred_at_us(self) -> list[int]:
        """The times of the operations that the batch may append; the service's own are of now."""
        times_us = [command.occurred_at_us for command in self._keyed if self._is_in_window(command)]
        return [self._now_us, *times_us]

    def wanted(self) -> Wanted:
        """What must be loaded: also keys older than the window if a call names such a time."""
        commands = [call.command for call in self._calls]
        return Wanted(
            list({command.member_id for command in commands if not command.card}),
            list({command.card for command in commands if command.card}),
            list({*self._uncertain, *self._keys}),
            min([self._earliest_us, *[command.occurred_at_us for command in self._keyed]]),
            self._earliest_us,
            self._original_keys,
            self._subjects_wanted(),
        )

    def _subjects_wanted(self) -> list[str]:
        if not self._counts_shops:
            return []
        return sorted({subject for command in self._keyed for subject in self._subjects(command)})

    def _subjects(self, command: Command) -> Sequence[str]:
        """The terminal and the store of a call, if the rules want to know what they have done."""
        return shared_subjects(self._program_for(command), command)

    def cards_to_enrol(self, loaded: Loaded) -> list[str]:
        """Cards of nobody's whose first use makes a member, by the program."""
        if not self._program.enrols:
            return []
        self._strangers = {
            command.card
            for command in self._keyed
            if command.card
            and command.kind in _ENROLLING
            and command.card not in loaded.cards
            and self._is_in_window(command)
            and command.idempotency_key not in loaded.recorded
        }
        return list(self._strangers)

    @property
    def operations(self) -> list[Operation]:
        """The rows to append."""
        return self._state.operations

    def written(self) -> Written:
        """All that has to be saved."""
        return self._state.written()

    @property
    def effects(self) -> list[Operation]:
        """What the batch has added to the ledger once it is committed, by this run or an uncertain one."""
        return [*self._ours.values(), *self.operations]

    def settle(self, loaded: Loaded) -> None:
        """Settle every call; a defect met by one of them is that one's INTERNAL_ERROR."""
        has_repeats = len({*self._keys}) < len(self._keys)
        self._state = BatchState(loaded, self._original_keys, has_repeats=has_repeats)
        self._situation = Situation(self._now_us, None, loaded.tallies, self._program)
        self._ours = {
            key: operation
            for key, operation in self._uncertain.items()
            if recorded_from(operation) in loaded.recorded.get(key, ())
        }
        self._unclaimed = set(self._ours)
        for call in self._calls:
            try:
                self.replies.append(self._settle_call(call))
            except Exception as defect:  # noqa: BLE001 - one call's defect is not its neighbours'
                request_id = report_defect("call not decided", defect, chain_id=self.chain.chain_id)
                self.replies.append(self._refuse(Outcome.INTERNAL_ERROR, request_id=request_id))

    def _settle_call(self, call: Call) -> Reply | None:
        if not call.is_waiting:
            return None
        command = call.command
        if is_due_command(command):
            account = self._state.account(command.member_id)
            if account:
                self._mature(account)
                self._state.look_at(command.member_id)
            return _UNKEYED_REPLY
        lines = lines_text(command.receipt.lines)
        payload = fingerprint(command, lines)
        repeated = self._repeat(command, payload)
        if repeated:
            return repeated
        if call.deadline <= self._loop_seconds:
            return self._refuse(Outcome.DEADLINE_PASSED)
        if not self._is_in_window(command):
            return self._refuse_time()
        return self._settle_new(command, payload, lines)

    def _repeat(self, command: Command, payload: bytes) -> Reply | None:
        """Answer from the ledger, or refuse the reuse of the key for another payload; None if it is free."""
        key = command.idempotency_key
        loaded = self._state.loaded
        entries = loaded.recorded.get(key)
        if not entries:
            return None
        may_be_new = self._is_in_window(command)
        bound: Recorded | None = None
        for recorded in entries:
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

    def _settle_new(self, command: Command, payload: bytes, lines: str) -> Reply:
        member_id = command.member_id
        card_status: int = _CARD_OPEN
        if command.card:
            holder = self._state.holder(command.card)
            if holder is None or self._is_too_early(command):
                return self._refuse(Outcome.MEMBER_NOT_FOUND)
            member_id, card_status = holder
        account = self._state.account(member_id)
        if not account:
            return self._refuse(Outcome.MEMBER_NOT_FOUND)
        refused = barred(account.status, card_status, command)
        if refused and not is_made_already(command, account.status):
            return self._refuse(refused)
        account = self._mature(account) if account.state else account
        return self._decide(command, payload, lines, account, refused)

    def _is_too_early(self, command: Command) -> bool:
        """Whether it comes before the first use that makes the member: members are made for a whole batch."""
        if command.kind in _ENROLLING:
            self._strangers.discard(command.card)
        return command.card in self._strangers

    def _decide(
        self, command: Command, payload: bytes, lines: str, account: Account, barred_for: Outcome | None
    ) -> Reply:
        program = self._program_for(command)
        situation = self._situation
        if barred_for:
            situation = situation._replace(barred=barred_for)
        if command.original_key:
            original = self._state.original(account.member_id, command.original_key)
            situation = situation._replace(original=original)
        decision = decide(account, command, program, situation)
        if not is_recorded(decision.outcome):
            return self._refuse(decision.outcome, **decision.details)
        response = self._append(command, payload, lines, account, decision, program)
        if decision.outcome is _APPLIED and self._counts_shops:
            self._count(command, program, decision)
        return record(Reply, (decision.outcome, response, False))

    def _program_for(self, command: Command) -> Program:
        """Offline sales are decided by the rules of their own time, all others by those of now."""
        return self.chain.program_at(command.occurred_at_us) if command.offline else self._program

    def _append(
        self,
        command: Command,
        payload: bytes,
        lines: str,
        account: Account,
        decision: Decision,
        program: Program,
    ) -> bytes:
        """Add the operation's row; returns its response."""
        draft = draft_operation(
            command,
            account,
            decision,
            chain_id=self.chain.chain_id,
            payload_fingerprint=payload,
            program_version=program.version,
            recorded_at_us=self._now_us,
            receipt_lines=lines,
        )
        state = account.state
        if decision.outcome is _APPLIED:
            state = state_after(state, decision.effects)
            standing = standing_after(account, draft.balance_points, state, self._program, self._now_us)
            response = self._encoder.applied(draft, decision, standing)
        else:
            response = self._encoder.refused(decision.outcome, decision.details)
        self._state.append(seal(draft, response, account.entry_hash), account, state)
        return response

    def _count(self, command: Command, program: Program, decision: Decision) -> None:
        for subject in self._subjects(command):
            self._state.count(subject, count_shared(program, self._now_us, decision))

    def _mature(self, account: Account) -> Account:
        """Record all that is due of a member, as entries of the service's own."""
        while due := next_matured(account, self._program, self._now_us):
            command = self._system_command(account, due)
            self._append(command, b"", "", account, _matured_decision(due), self._program)
            account = self._state.existing(account.member_id)
        return account

    def _system_command(self, account: Account, due: Matured) -> Command:
        key = f"{SYSTEM_KEY_PREFIX}{due.kind.name.lower()}:{account.member_id}:{account.member_sequence + 1}"
        return Command(due.kind, key, account.member_id, "", self._now_us, "", "", NO_RECEIPT, 0)

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


def _matured_decision(due: Matured) -> Decision:
    return Decision(Outcome.APPLIED, redeemed_points=due.expired_points, effects=due.effects)
