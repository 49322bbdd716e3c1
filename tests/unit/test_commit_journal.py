"""What a worker that is killed amid its counting leaves behind, and what its successor makes of it."""

import json
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import REGISTRY

from processor.app.parts import Worker
from processor.app.watches import count_left_behind
from processor.commit_journal import CommitJournal, Note
from processor.domain.command import Kind
from processor.domain.counts import RecordedCounts
from processor.domain.outcomes import Outcome
from processor.metrics import LedgerMetrics, Totals
from tests.history import accrual, decided

SUMS = {
    (int(Kind.ACCRUE), int(Outcome.APPLIED)): (3, 30, 0),
    (int(Kind.CHECKOUT), int(Outcome.APPLIED)): (1, 4, 5),
    (int(Kind.REDEEM), int(Outcome.INSUFFICIENT_POINTS)): (1, 0, 0),
    (int(Kind.EXPIRE), int(Outcome.APPLIED)): (1, 0, 6),
}
[WITNESS] = decided(7, [accrual("key", 1)])


class Killed(BaseException):
    """Stands for the end of the process: nothing runs after it but what its caller does."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"loyalty_{name}_total", labels) or 0


def test_a_note_is_left_behind_until_it_is_cleared(file: Path) -> None:
    counts = RecordedCounts("noted", SUMS)
    with pytest.raises(Killed):
        note_and_die(CommitJournal(file, 2), counts)
    for _ in range(2):  # a successor may die as well
        [slot] = CommitJournal(file, 2).left_behind
        assert slot.read() == Note(7, "key", WITNESS.entry_hash, [counts])
    slot.clear()
    assert CommitJournal(file, 2).left_behind == []


def test_a_note_has_room_for_as_many_chains_as_a_batch_may_have(file: Path) -> None:
    sums = {(int(kind), outcome): (1_000, 10**9, 10**9) for kind in Kind for outcome in range(2)}
    counts = [RecordedCounts("x" * 60 + str(number), sums) for number in range(256)]
    with pytest.raises(Killed):
        note_and_die(CommitJournal(file, 1), *counts)
    [slot] = CommitJournal(file, 1).left_behind
    assert slot.read() == Note(7, "key", WITNESS.entry_hash, counts)


def note_and_die(journal: CommitJournal, *counts: RecordedCounts) -> None:
    # No `with`: the end of a process does not tidy up.
    slot = journal.slot().__enter__()
    slot.note(counts, WITNESS)
    raise Killed


def test_a_batch_that_is_over_leaves_nothing(file: Path) -> None:
    with CommitJournal(file, 1).slot() as slot:
        slot.note([RecordedCounts("over", SUMS)], WITNESS)
        slot.promise({("points_issued", "over", "accrue"): 30})
    assert CommitJournal(file, 1).left_behind == []


@pytest.mark.parametrize("increments", range(9))
def test_counting_that_was_broken_off_is_completed_once(file: Path, increments: int) -> None:
    """Wherever the kill came, each counter is where it must be, and stays there."""
    chain = f"broken-{increments}"
    counts = RecordedCounts(chain, SUMS)
    metrics = LedgerMetrics()
    slot = CommitJournal(file, 1).slot().__enter__()
    slot.note([counts], WITNESS)

    def promise_and_die(totals: Totals) -> None:
        slot.promise(totals)
        metrics.raise_to(dict(list(totals.items())[:increments]))
        raise Killed

    with pytest.raises(Killed):
        metrics.count_recorded([counts], promise_and_die)
    for _ in range(2):
        [left] = CommitJournal(file, 1).left_behind
        totals = left.read()
        assert isinstance(totals, dict)
        LedgerMetrics().raise_to(totals)
    assert value("operations", chain=chain, kind="accrue", outcome="APPLIED") == 3
    assert value("operations", chain=chain, kind="redeem", outcome="INSUFFICIENT_POINTS") == 1
    assert value("operations", chain=chain, kind="expire", outcome="APPLIED") == 1
    assert value("points_issued", chain=chain, kind="accrue") == 30
    assert value("points_issued", chain=chain, kind="checkout") == 4
    assert value("points_redeemed", chain=chain, kind="checkout") == 5
    assert value("points_expired", chain=chain) == 6


@pytest.mark.parametrize("has_totals", [False, True])
async def test_what_another_version_has_left_behind_is_let_go(file: Path, *, has_totals: bool) -> None:
    """The package may be replaced under a running supervisor: new workers find the old one's journal."""
    slot = CommitJournal(file, 1).slot().__enter__()
    if has_totals:
        slot.promise({("points_issued", "without-a-kind"): 30})
    else:
        note = [7, "key", "ab" * 32, ["without-a-kind", [[1, 0, 3]], 30, 5, 0]]
        slot._note.write(json.dumps(note).encode())
    journal, no_worker = CommitJournal(file, 1), cast("Worker", None)
    await count_left_behind(no_worker, journal, LedgerMetrics())
    assert CommitJournal(file, 1).left_behind == []
    assert REGISTRY.get_sample_value("loyalty_points_issued_total", {"chain": "without-a-kind"}) is None


def test_a_note_that_is_too_long_is_left_out(file: Path) -> None:
    with pytest.raises(Killed):
        note_and_die(CommitJournal(file, 1), RecordedCounts("x" * 300_000, {}))
    assert CommitJournal(file, 1).left_behind == []
