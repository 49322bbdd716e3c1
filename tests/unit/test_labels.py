"""The guard against labels without bound."""

import pytest
from prometheus_client import REGISTRY

from processor import metrics
from processor.domain.command import Kind
from processor.domain.counts import RecordedCounts
from processor.domain.outcomes import Outcome
from processor.labels import (
    CHAINS,
    CHAINS_MAX,
    OTHER,
    TERMINALS,
    TERMINALS_AFTER,
    TERMINALS_MAX,
    BoundedLabels,
)
from processor.metrics import LedgerMetrics


def test_values_beyond_the_bound_share_one_label() -> None:
    labels = BoundedLabels(2)
    found = [labels.label(value) for value in ("a", "b", "c", "a", "d", "b")]
    assert found == ["a", "b", OTHER, "a", OTHER, "b"]


def test_who_comes_but_once_takes_no_label_from_those_who_come_often() -> None:
    labels = BoundedLabels(1, after=3)
    assert [labels.label(f"once-{number}") for number in range(20_000)] == [OTHER] * 20_000
    assert [labels.label("often") for _ in range(4)] == [OTHER, OTHER, "often", "often"]
    assert [labels.label("late") for _ in range(4)] == [OTHER] * 4


def test_chains_and_terminals_are_bounded() -> None:
    assert (CHAINS.limit, TERMINALS.limit) == (CHAINS_MAX, TERMINALS_MAX) == (50, 100)
    assert (CHAINS.after, TERMINALS.after) == (1, TERMINALS_AFTER) == (1, 3)


def test_from_the_51st_on_chains_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CHAINS", BoundedLabels(CHAINS_MAX))
    counted = LedgerMetrics()

    def issued(chain: str) -> float | None:
        return REGISTRY.get_sample_value("loyalty_points_issued_total", {"chain": chain, "kind": "accrue"})

    others_before = issued(OTHER) or 0
    accrued = {(int(Kind.ACCRUE), int(Outcome.APPLIED)): (1, 7, 0)}
    counts = [RecordedCounts(f"guarded-{number}", accrued) for number in range(1, 54)]
    for batch in (counts[:40], counts[40:52], counts[52:]):
        counted.count_recorded(batch, promise=lambda _: None)
    assert [issued("guarded-50"), issued("guarded-51")] == [7, None]
    assert (issued(OTHER) or 0) - others_before == 21


def test_from_the_51st_on_failures_are_expected_of_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CHAINS", BoundedLabels(CHAINS_MAX))
    for number in range(1, 54):
        LedgerMetrics().expect_chain(f"expected-{number}")

    def unknown(chain: str) -> float | None:
        labels = {"chain": chain, "kind": "accrue", "outcome": "OUTCOME_UNKNOWN"}
        return REGISTRY.get_sample_value("loyalty_operations_total", labels)

    assert [unknown("expected-50"), unknown("expected-51"), unknown(OTHER)] == [0, None, 0]
