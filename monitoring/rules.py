"""The recording rules and alerts, as far as the dashboards and the catalogue depend on them."""

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

RULES: Final = Path(__file__).parents[1] / "helm/loyalty-processor/files/rules/loyalty.rules.yaml"
_LIMIT: Final = re.compile(r"[<>]=? ([\d.]+(?: \* [\d.]+)*)")


@cache
def rules() -> list[dict[str, Any]]:
    """All of them, in the order of their evaluation."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def limits(alert: str) -> list[float]:
    """The numbers at which the alerts of that name fire, in the order of their rules."""
    expressions = [rule["expr"] for rule in rules() if rule.get("alert") == alert]
    found = [_LIMIT.search(expression) for expression in expressions]
    return [math.prod(map(float, each[1].split(" * "))) for each in found if each]


def limit(alert: str) -> float:
    """The first of them, for the line that a graph shows."""
    return limits(alert)[0]


def latency_objective_seconds() -> float:
    """What a call may take and still count as fast."""
    [seconds] = {
        float(seconds)
        for rule in rules()
        if "record" in rule
        for seconds in re.findall(r'handling_seconds_bucket\{[^}]*le="([\d.]+)"', rule["expr"])
    }
    return seconds


def series_by_alert() -> Iterator[tuple[str, set[str]]]:
    """The exported series that each alert is computed from, through the recording rules."""
    recorded: dict[str, set[str]] = {}
    alerts: dict[str, set[str]] = {}
    for rule in rules():  # a recording rule stands before the rules that ask for it
        series = {name for each in series_names(rule["expr"]) for name in recorded.get(each, {each})}
        named, name = (recorded, rule["record"]) if "record" in rule else (alerts, rule["alert"])
        named.setdefault(name, set()).update(series)
    yield from alerts.items()


def series_names(expression: str) -> set[str]:
    """What looks like the names of the service's own series."""
    return set(re.findall(r"\b(?:loyalty|grpc)[_:][a-z0-9_:]+", expression))
