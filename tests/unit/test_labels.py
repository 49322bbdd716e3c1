"""The guard against labels without bound."""

import pytest
from prometheus_client import REGISTRY

from processor import metrics
from processor.labels import CHAINS, CHAINS_MAX, OTHER, TERMINALS, TERMINALS_MAX, BoundedLabels
from processor.metrics import LedgerMetrics, RecordedCounts


def test_values_beyond_the_bound_share_one_label() -> None:
    labels = BoundedLabels(2)
    found = [labels.label(value) for value in ("a", "b", "c", "a", "d", "b")]
    assert found == ["a", "b", OTHER, "a", OTHER, "b"]


def test_chains_and_terminals_are_bounded() -> None:
    assert (CHAINS.limit, TERMINALS.limit) == (CHAINS_MAX, TERMINALS_MAX) == (50, 100)


def test_from_the_51st_on_chains_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CHAINS", BoundedLabels(CHAINS_MAX))
    counted = LedgerMetrics()

    def issued(chain: str) -> float | None:
        return REGISTRY.get_sample_value("loyalty_points_issued_total", {"chain": chain})

    others_before = issued(OTHER) or 0
    counts = [RecordedCounts(f"guarded-{number}", {}, 7, redeemed_points=0) for number in range(1, 54)]
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
