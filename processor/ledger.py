"""Applies batches: load the state, settle each call, commit; run it again where that is safe and right."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from processor.batch import Batch, Share
from processor.call import Call
from processor.clock import now_us
from processor.commit_journal import CommitJournal, Slot
from processor.defects import report_defect
from processor.domain.account import CardHolder
from processor.domain.batch import Loaded, Wanted
from processor.domain.counts import RecordedCounts, recorded_counts
from processor.domain.failures import (
    BatchConflict,
    HomeMoved,
    OutcomeUnknown,
    RowRejected,
    StorageFailure,
    StorageUnavailable,
)
from processor.domain.home import Home
from processor.domain.outcomes import Outcome
from processor.failpoints import hit
from processor.metrics import LedgerMetrics
from processor.ports import Directory, Encoder, LedgerStore, LedgerTransaction, Reply, SharedTransaction
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

    async def apply(self, batch: Batch) -> None:
        """Answer the calls of a batch, those of each chain in order, but for what it sets aside.

        A row that PostgreSQL rejects fails its own call alone.
        """
        try:
            with self._journal.slot() as slot:
                await self._commit_or_give_up(batch, slot)
        except RowRejected as failure:
            await self._isolate(batch, failure)

    async def _isolate(self, batch: Batch, failure: RowRejected) -> None:
        """Run a batch with a poisoned call by halves, until that call stands alone."""
        if len(batch.calls) == 1:
            [share] = batch.shares
            request_id = report_defect("row rejected", failure, chain_id=share.chain_id)
            self.refuse(share.chain_id, share.calls, Outcome.INTERNAL_ERROR, request_id=request_id)
            return
        for half in batch.halves():
            await self.apply(half)
            batch.put_aside([share.chain_id for share in half.set_aside])

    async def _commit_or_give_up(self, batch: Batch, slot: Slot) -> None:
        started = asyncio.get_running_loop().time()
        pause_seconds = _PAUSE_SECONDS_FIRST
        while failure := await self._try(batch, slot):
            if self._is_hopeless(failure, started, is_uncertain=batch.is_uncertain):
                self._give_up(batch)
                return
            # Jitter, so that batches that met once do not meet again.
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.0))
            pause_seconds = min(2 * pause_seconds, _PAUSE_SECONDS_MAX)

    def _give_up(self, batch: Batch) -> None:
        self._metrics.count_abandoned(
            Outcome.OUTCOME_UNKNOWN if batch.is_uncertain else Outcome.STORAGE_UNAVAILABLE
        )
        for share in batch.shares:
            self.refuse(share.chain_id, share.calls, share.if_given_up)

    async def _try(self, batch: Batch, slot: Slot) -> StorageFailure | None:
        """Run the batch once and deliver; or return the failure that running it again may mend.

        Operations whose commit has an unknown outcome are added to those uncertain of their share.
        """
        settlements = {share.chain_id: self._settlement(share) for share in batch.shares}
        try:
            if len(settlements) == 1:
                counts = await self._settle_alone(settlements, slot)
            else:
                counts = await self._settle_together(batch, settlements, slot)
        except HomeMoved:
            batch.put_aside(batch.chain_ids)
            return None
        except (BatchConflict, OutcomeUnknown, StorageUnavailable) as failure:
            if isinstance(failure, OutcomeUnknown):
                for share in batch.shares:
                    share.doubt(settlements[share.chain_id].operations)
            self._note_failure(batch, failure)
            return failure
        if not batch.shares:
            return None
        hit("after_commit")
        self._unreachable_since = None
        for share in batch.shares:
            self._deliver(share.chain_id, share.calls, settlements[share.chain_id].replies)
        self._metrics.count_recorded(counts, slot.promise)
        return None

    def _settlement(self, share: Share) -> Settlement:
        return Settlement(
            self._directory.chain(share.chain_id),
            share.calls,
            self._encoder,
            now_us=now_us(),
            loop_seconds=asyncio.get_running_loop().time(),
            uncertain=share.uncertain,
        )

    async def _settle_alone(
        self, settlements: Mapping[int, Settlement], slot: Slot
    ) -> Sequence[RecordedCounts]:
        """Settle and commit the calls of one chain; returns what they are counted as."""
        [(chain_id, settlement)] = settlements.items()
        locking = self._must_lock([chain_id])
        times_us = settlement.occurred_at_us()
        async with self._store.transaction(chain_id, times_us, locking=locking) as transaction:
            with self._tracing.step("load"):
                loaded = await _load(transaction, settlement)
            settlement.settle(loaded)
            written = settlement.written()
            if written.operations or written.dues:
                with self._tracing.step("save"):
                    await transaction.save(written)
            return await _prepare_commit(transaction, [settlement], [loaded], slot)

    async def _settle_together(
        self, batch: Batch, settlements: Mapping[int, Settlement], slot: Slot
    ) -> Sequence[RecordedCounts]:
        """The same for several chains; those that can't be in one transaction with others are put aside."""
        wanted = {chain_id: settlement.wanted() for chain_id, settlement in settlements.items()}
        home = await self._store.home()
        batch.put_aside(
            {
                chain_id
                for chain_id, settlement in settlements.items()
                if not _may_share(settlement, wanted[chain_id], home)
            }
        )
        if not batch.shares:
            return ()
        locking = self._must_lock(batch.chain_ids)
        async with self._store.shared_transaction(batch.chain_ids, home, locking=locking) as transaction:
            with self._tracing.step("load"):
                loaded = await transaction.load({each: wanted[each] for each in batch.chain_ids})
            batch.put_aside({each for each in loaded if settlements[each].cards_to_enrol(loaded[each])})
            together = {each: settlements[each] for each in batch.chain_ids}
            for chain_id, settlement in together.items():
                settlement.settle(loaded[chain_id])
            written = {chain_id: settlement.written() for chain_id, settlement in together.items()}
            if any(each.operations or each.dues for each in written.values()):
                with self._tracing.step("save"):
                    await transaction.save(written)
            return await _prepare_commit(
                transaction, list(together.values()), [loaded[each] for each in together], slot
            )

    def _must_lock(self, chain_ids: Sequence[int]) -> bool:
        """Read without locks, unless others lately changed accounts of a chain under our hands."""
        contended = self._lockings_left.keys() & chain_ids
        for chain_id in contended:
            self._lockings_left[chain_id] -= 1
            if not self._lockings_left[chain_id]:
                del self._lockings_left[chain_id]
        return bool(contended)

    def _note_failure(self, batch: Batch, failure: StorageFailure) -> None:
        self._metrics.count_rerun(failure)
        log.warning(
            "batch not committed",
            chain_ids=batch.chain_ids,
            failure=type(failure).__name__,
            error=str(failure),
        )
        if isinstance(failure, BatchConflict):
            self._lockings_left.update(dict.fromkeys(batch.chain_ids, _LOCKINGS_AFTER_CONFLICT))
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


def _may_share(settlement: Settlement, wanted: Wanted, home: Home) -> bool:
    """Whether it needs no tally, whose lock all calls of a store wait for, and nothing but the home."""
    times_us = settlement.occurred_at_us()
    is_at_home = home.from_us <= min(times_us) and max(times_us) < home.to_us
    # A key that is sought further back would be sought there for all.
    return is_at_home and not wanted.subjects and wanted.earliest_us >= wanted.window_from_us


async def _prepare_commit(
    transaction: LedgerTransaction | SharedTransaction,
    settlements: Sequence[Settlement],
    loaded: Sequence[Loaded],
    slot: Slot,
) -> Sequence[RecordedCounts]:
    """Write down what will be counted; have a commit of repeats alone confirm what they are answered with."""
    counts = [recorded_counts(settlement.chain.name, settlement.effects) for settlement in settlements]
    witness = next((row for settlement in settlements for row in settlement.operations), None)
    if witness:
        slot.note(counts, witness)
    elif any(each.recorded for each in loaded):
        await transaction.confirm()
    hit("before_commit")
    return counts
