"""The catalogue of metrics is what the code exports, and says enough of each."""

import re

import pytest

from monitoring.catalogue import ABSENT_UNTIL, CATALOGUE, LABELS, CataloguedMetric, catalogue, render

each_metric = pytest.mark.parametrize("metric", catalogue(), ids=lambda metric: metric.name)


def test_the_page_is_what_the_code_exports() -> None:
    assert CATALOGUE.read_text() == render(), "run: make docs"


@each_metric
def test_the_help_text_says_unit_and_use(metric: CataloguedMetric) -> None:
    what, use = re.fullmatch(r"(.+?)\. (.+)\.", metric.help).groups()  # type: ignore[union-attr]
    assert what
    assert use
    assert metric.unit not in {"seconds", "bytes", "points"} or what.lower().startswith(metric.unit)


@each_metric
def test_the_name_is_prometheus_own_style(metric: CataloguedMetric) -> None:
    assert re.fullmatch(r"(loyalty|grpc_server)(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")


@each_metric
def test_its_labels_are_explained(metric: CataloguedMetric) -> None:
    assert set(metric.labels) <= LABELS.keys()


def test_nothing_is_explained_that_is_not_there() -> None:
    metrics = catalogue()
    assert ABSENT_UNTIL.keys() <= {metric.name for metric in metrics}
    assert LABELS.keys() == {label for metric in metrics for label in metric.labels}
