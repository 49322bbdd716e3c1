"""The recording rules and alerts, read from their one file, and the metrics that an expression names."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

REPOSITORY: Final = Path(__file__).parents[2]
RULES_DIR: Final = REPOSITORY / "helm/loyalty-processor/files/rules"
RULES_FILE: Final = RULES_DIR / "loyalty.rules.yaml"
TEST_FILES: Final = sorted((RULES_DIR / "tests").glob("*.yaml"))

Rule = dict[str, Any]

_NOT_METRICS: Final = re.compile(
    r"\{[^}]*\}|\"[^\"]*\"|'[^']*'|\b(?:by|without|on|ignoring|group_left|group_right) *\([^)]*\)"
)
_NAME: Final = re.compile(r"\b(?:up|(?:loyalty|grpc)[a-z0-9_:]*)\b")


@cache
def rules() -> list[Rule]:
    """Every rule as it is written."""
    return [rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if "alert" in rule]


def recorded_names() -> set[str]:
    """The names of the series that the recording rules make."""
    return {rule["record"] for rule in rules() if "record" in rule}


def metric_names(expression: str) -> set[str]:
    """The series that an expression selects by name."""
    return set(_NAME.findall(_NOT_METRICS.sub(" ", expression)))
