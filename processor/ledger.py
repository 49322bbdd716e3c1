"""Applies batches: load the state, settle each call, commit; run it again where that is safe and right."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog

from processor.call import Call
from processor.clock import now_us
from processor.commit_journal import CommitJournal, Slot
from processor.defects import report_defect
from processor.domain.account import CardHolder
from processor.domain.batch import Loaded
from processor.domain.failures import (
    BatchConflict,
    OutcomeUnknown,
    RowRejected,
    StorageFailure,
    StorageUnavailable,
)
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from processor.failpoints import hit
from processor.metrics import LedgerMetrics, recorded_counts
from processor.ports import Directory, Encoder, LedgerStore, LedgerTransaction, Reply
from processor.settlement import Settlement
from processor.tracing import NO_TRACING, Tracing

_PAUSE_SECONDS_FIRST: Final = 0.005
_PAUSE_SECONDS_MAX: Final = 0.25
_LOCKINGS_AFTER_CONFLICT: Final = 32

log = structlog.get_logger()


class Ledger:
    """Gives every call of a batch its reply, each effect committed durably before."""

    def __init__(
        self,
        store: LedgerStore,
        directory: Directory,
        encoder: Encoder,
        metrics: LedgerMetrics,
        journal: CommitJournal,
        tracing: Tracing = NO_TRACING,
        *,
        retry_seconds: float,
    ) -> None:
        """A batch that can't be committed is run again for `retry_seconds`."""
        self._store = store
        self._directory = directory
        self._encoder = encoder
        self._metrics = metrics
        self._journal = journal
        self._tracing = tracing
        self._retry_seconds = retry_seconds
        self._unreachable_since: float | None = None
        self._lockings_left: dict[int, int] = {}

    async def apply(self, chain_id: int, calls: Sequence[Call]) -> None:
        """Answer the calls of one chain, in order. A row that PostgreSQL rejects fails its own call alone."""
        try:
            with self._journal.slot() as slot:
                await self._commit_or_give_up(chain_id, calls, slot)
        except RowRejected as failure:
            await self._isolate(chain_id, calls, failure)

    async def _isolate(self, chain_id: int, calls: Sequence[Call], failure: RowRejected) -> None:
        """Run a batch with a poisoned call by halves, until that call stands alone."""
        if len(calls) == 1:
            request_id = report_defect("row rejected", failure, chain_id=chain_id)
            self.refuse(chain_id, calls, Outcome.INTERNAL_ERROR, request_id=request_id)
            return
        middle = len(calls) // 2
        await self.apply(chain_id, calls[:middle])
        await self.apply(chain_id, calls[middle:])

    async def _commit_or_give_up(self, chain_id: int, calls: Sequence[Call], slot: Slot) -> None:
        started = asyncio.get_running_loop().time()
        pause_seconds = _PAUSE_SECONDS_FIRST
        uncertain: dict[str, Operation] = {}
        while failure := await self._try(chain_id, calls, uncertain, slot):
            if self._is_hopeless(failure, started, is_uncertain=bool(uncertain)):
                outcome = Outcome.OUTCOME_UNKNOWN if uncertain else Outcome.STORAGE_UNAVAILABLE
                self._metrics.count_abandoned(outcome)
                self.refuse(chain_id, calls, outcome)
                return
            # Jitter, so that batches that met once do not meet again.
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.0))
            pause_seconds = min(2 * pause_seconds, _PAUSE_SECONDS_MAX)

    async def _try(
        self, chain_id: int, calls: Sequence[Call], uncertain: dict[str, Operation], slot: Slot
    ) -> StorageFailure | None:
        """Run the batch once and deliver; or return the failure that running it again may mend.

        Operations whose commit has an unknown outcome are added to `uncertain`.
        """
        settlement = self._settlement(chain_id, calls, uncertain)
        try:
            async with self._transaction(chain_id, settlement) as transaction:
                with self._tracing.step("load"):
                    loaded = await _load(transaction, settlement)
                settlement.settle(loaded)
                counts = recorded_counts(settlement.chain.name, settlement.effects)
                written = settlement.written()
                if written.operations or written.dues:
                    with self._tracing.step("save"):
                        await transaction.save(written)
                if written.operations:
                    slot.note(counts, written.operations[0])
                elif loaded.recorded:
                    await transaction.confirm()
                hit("before_commit")
        except (BatchConflict, OutcomeUnknown, StorageUnavailable) as failure:
            if isinstance(failure, OutcomeUnknown):
                uncertain.update((row.idempotency_key, row) for row in settlement.operations)
            self._note_failure(chain_id, failure)
            return failure
        hit("after_commit")
        self._unreachable_since = None
        self._deliver(chain_id, calls, settlement.replies)
        self._metrics.count_recorded(counts, slot.promise)
        return None

    def _settlement(
        self, chain_id: int, calls: Sequence[Call], uncertain: dict[str, Operation]
    ) -> Settlement:
        return Settlement(
            self._directory.chain(chain_id),
            calls,
            self._encoder,
            now_us=now_us(),
            loop_seconds=asyncio.get_running_loop().time(),
            uncertain=uncertain,
        )

    def _transaction(
        self, chain_id: int, settlement: Settlement
    ) -> AbstractAsyncContextManager[LedgerTransaction]:
        """Read without locks, unless others lately changed accounts of this chain under our hands."""
        lockings_left = self._lockings_left.get(chain_id, 0)
        self._lockings_left[chain_id] = max(lockings_left - 1, 0)
        return self._store.transaction(chain_id, settlement.occurred_at_us(), locking=lockings_left > 0)

    def _note_failure(self, chain_id: int, failure: StorageFailure) -> None:
        self._metrics.count_rerun(failure)
        log.warning(
            "batch not committed", chain_id=chain_id, failure=type(failure).__name__, error=str(failure)
        )
        if isinstance(failure, BatchConflict):
            self._lockings_left[chain_id] = _LOCKINGS_AFTER_CONFLICT
        if isinstance(failure, StorageUnavailable) and self._unreachable_since is None:
            self._unreachable_since = asyncio.get_running_loop().time()

    def _is_hopeless(self, failure: StorageFailure, started: float, *, is_uncertain: bool) -> bool:
        """Whether to give up. In a long outage, batches that wrote nothing get a single attempt each."""
        since = started
        if isinstance(failure, StorageUnavailable) and not is_uncertain and self._unreachable_since:
            since = self._unreachable_since
        return asyncio.get_running_loop().time() - since > self._retry_seconds

    def _deliver(self, chain_id: int, calls: Sequence[Call], replies: Sequence[Reply | None]) -> None:
        for call, reply in zip(calls, replies, strict=True):
            if reply:
                call.answer(reply)
        self._metrics.count_unrecorded(self._directory.chain(chain_id).name, calls, replies)

    def refuse(self, chain_id: int, calls: Sequence[Call], outcome: Outcome, **details: object) -> None:
        """Answer the calls that still wait with an outcome that is not recorded."""
        reply = Reply(outcome, self._encoder.refused(outcome, details), replayed=False)
        self._deliver(chain_id, calls, [reply if call.is_waiting else None for call in calls])


async def _load(transaction: LedgerTransaction, settlement: Settlement) -> Loaded:
    """What the batch needs to know; strangers become members where the program enrols them."""
    loaded = await transaction.load(settlement.wanted())
    strangers = settlement.cards_to_enrol(loaded)
    if strangers:
        for card, account in (await transaction.enrol(strangers)).items():
            loaded.accounts[account.member_id] = account
            loaded.cards[card] = CardHolder(account.member_id)
    return loaded
