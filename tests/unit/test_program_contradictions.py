"""Programs that are well written and can't be meant: what is said of each."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.domain.program_document import DEFAULT_PROGRAM
from processor.program_file import ProgramFileError, parse_program
from tests.documents import merge_patch

CASES = yaml.safe_load((Path(__file__).parent / "program_contradictions.yaml").read_text())
RICH = Path(__file__).parents[2] / "docs" / "program-rich.yaml"


def problems(text: str) -> list[str]:
    try:
        parse_program(text)
    except ProgramFileError as error:
        return [f"{path}: {message}" for _, path, message in error.problems]
    return []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("problem", "none"))
def test_a_contradiction_is_told_with_its_reason(case: dict[str, Any]) -> None:
    text = json.dumps(merge_patch({**DEFAULT_PROGRAM}, case["program"]))
    assert problems(text) == ([case["problem"]] if "problem" in case else [])


def test_all_contradictions_are_told_where_they_stand() -> None:
    text = (
        RICH.read_text().replace("threshold: 5000,", "threshold: 500,").replace("  rolling_months: 12\n", "")
    )
    with pytest.raises(ProgramFileError) as caught:
        parse_program(text)
    lines = text.splitlines()
    [(missing, *_), (threshold, path, message)] = caught.value.problems
    assert lines[missing.line - 1] == "tiers:"
    assert missing.column == 1
    assert lines[threshold.line - 1][threshold.column - 1 :].startswith("500,")
    assert path == "tiers.levels[1].threshold"
    assert message == "must be above 1,000, the threshold of the level before"
