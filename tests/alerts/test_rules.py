"""The rules by promtool: they are valid, and every alert is shown to fire and to stay quiet."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from loyalty.v1.member_service_pb2 import DESCRIPTOR as MEMBERS
from loyalty.v1.transaction_service_pb2 import DESCRIPTOR as TRANSACTIONS
from processor.domain.outcomes import Outcome
from processor.metrics import UNRECORDED
from processor.rpc.status import ANSWERS
from tests.alerts.rules import RULES_FILE, TEST_FILES, Rule, alerts, metric_names, recorded_names, rules
from tests.promtool import promtool

READS = {"Quote", "GetBalance", "GetOperation", "ListOperations", "GetMember"}
SLO_GUIDE = RULES_FILE.parents[4] / "docs/slo.md"
Labels = dict[str, str]


@cache
def promtool_tests() -> list[dict[str, Any]]:
    return [test for file in TEST_FILES for test in yaml.safe_load(file.read_text())["tests"]]


def cases(alert: Rule) -> Iterator[tuple[list[Labels], str]]:
    """The moments at which alerts of this name are tested: those that fire, and the series put in."""
    for test in promtool_tests():
        series = " ".join(each["series"] for each in test["input_series"])
        for case in test["alert_rule_test"]:
            if case["alertname"] == alert["alert"]:
                yield [fired["exp_labels"] for fired in case.get("exp_alerts", ())], series


def fires(alert: Rule, fired: list[Labels]) -> bool:
    """Whether this rule is among them: rules of one name differ in their labels."""
    return any(alert["labels"].items() <= labels.items() for labels in fired)


def needed_metrics(expression: str) -> set[str]:
    """The metrics from which an expression is computed, through the recording rules."""
    names = metric_names(expression)
    recordings = [rule["expr"] for rule in rules() if rule.get("record") in names]
    return (names - recorded_names()).union(*map(needed_metrics, recordings))


def describe(alert: Rule) -> str:
    return "-".join([alert["alert"], *alert["labels"].values()])


def test_the_rules_are_valid() -> None:
    checked = promtool("check", "rules", RULES_FILE)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_alerts_fire_and_stay_quiet_as_told(file: Path) -> None:
    tested = promtool("test", "rules", file)

    assert tested.returncode == 0, tested.stdout


@pytest.mark.parametrize("alert", alerts(), ids=describe)
def test_every_alert_has_a_firing_case(alert: Rule) -> None:
    assert any(fires(alert, fired) for fired, _ in cases(alert))


@pytest.mark.parametrize("alert", alerts(), ids=describe)
def test_every_alert_has_a_quiet_case_with_data_of_its_own(alert: Rule) -> None:
    needed = needed_metrics(alert["expr"])
    inputs = [metric_names(series) for fired, series in cases(alert) if not fires(alert, fired)]

    assert any(needed & names for names in inputs)


@pytest.mark.parametrize("alert", alerts(), ids=describe)
def test_every_alert_says_what_who_and_where_to_read_on(alert: Rule) -> None:
    annotations: dict[str, Any] = alert["annotations"]

    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert annotations["summary"].endswith(".")
    assert "{{" in annotations["description"] or alert["expr"].startswith("absent(")


def test_what_counts_against_availability_is_what_the_service_answers_with_such_a_code() -> None:
    bad_events = {rule["labels"]["slo"]: rule["expr"] for rule in rules() if is_bad_events(rule)}
    codes = matched(bad_events["calls"], "grpc_code")
    outcomes = matched(bad_events["operations"], "outcome")

    assert codes == {"UNAVAILABLE", "INTERNAL", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    assert outcomes == {outcome.name for outcome, answer in ANSWERS.items() if answer.code.name in codes}


def test_every_outcome_and_reason_that_rules_name_exists() -> None:
    expressions = " ".join(rule["expr"] for rule in rules())

    assert matched(expressions, "outcome") | matched(expressions, "reason") <= {each.name for each in Outcome}


@pytest.mark.parametrize(
    "slo, left_out", [("calls", {"ProcessStream"}), ("latency", {"ProcessStream", "ProcessBatch"})]
)
def test_objectives_are_of_all_calls_that_write(slo: str, left_out: set[str]) -> None:
    services = [*TRANSACTIONS.services_by_name.values(), *MEMBERS.services_by_name.values()]
    methods = {method.name for service in services for method in service.methods}
    expressions = [rule["expr"] for rule in rules() if rule.get("labels", {}).get("slo") == slo]
    [matcher] = {each for expr in expressions for each in re.findall(r'grpc_method!~"([^"]+)"', expr)}

    assert {method for method in methods if not re.fullmatch(matcher, method)} == methods - READS - left_out


def test_every_outcome_that_rules_name_is_counted_from_0() -> None:
    expressions = " ".join(rule["expr"] for rule in rules())

    assert matched(expressions, "outcome") <= {outcome.name for outcome in UNRECORDED}


def test_the_guide_tells_of_each_outcome_once_how_it_counts() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (yes|no) \|", SLO_GUIDE.read_text(), re.MULTILINE)
    told = [(name, code, counts) for names, code, counts in rows for name in re.findall(r"[A-Z_]{4,}", names)]
    [bad] = [
        rule["expr"] for rule in rules() if is_bad_events(rule) and rule["labels"]["slo"] == "operations"
    ]

    assert {name for name, _, counts in told if counts == "yes"} == matched(bad, "outcome")
    assert sorted((name, code.split(",")[0]) for name, code, _ in told) == sorted(
        (outcome.name, answer.code.name) for outcome, answer in ANSWERS.items()
    )
    assert ANSWERS.keys() == set(Outcome)


def is_bad_events(rule: Rule) -> bool:
    return bool(rule.get("record") == "loyalty:slo_bad_events:rate5m")


def matched(expression: str, label: str) -> set[str]:
    """The values that the expression selects of a label."""
    values = re.findall(rf'\b{label}=~?"([^"]+)"', expression)
    return {value for alternatives in values for value in alternatives.split("|")}
