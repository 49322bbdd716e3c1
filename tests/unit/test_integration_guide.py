"""The guide for tills against the contract and the examples that it quotes."""

import re
from pathlib import Path
from typing import Final

import pytest

from processor.domain.outcomes import Outcome, is_recorded
from processor.rpc.status import ANSWERS

DOCS: Final = Path(__file__).parents[2] / "docs"
GUIDE: Final = (DOCS / "integration.md").read_text()
REFUSALS: Final = [outcome for outcome in Outcome if outcome is not Outcome.APPLIED]
# A row of the table of reasons: name, code, recorded, what happened, what the till does.
ROW: Final = re.compile(r"^\| `([A-Z_]+)` \| `([A-Z_]+)` \| (\w+) \| (.+) \| (.+) \|$", re.MULTILINE)
QUOTED: Final = {
    "java": "java/src/main/java/FirstCall.java",
    "csharp": "csharp/FirstCall.cs",
    "go": "go/main.go",
    "python": "python/first_call.py",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def recorded(outcome: Outcome) -> str:
    """As the table says it."""
    if outcome is Outcome.OUTCOME_UNKNOWN:
        return "perhaps"
    return "yes" if is_recorded(outcome) else "no"


def test_every_reason_has_one_row_with_its_code_and_whether_it_is_recorded() -> None:
    rows = sorted((name, code, whether) for name, code, whether, _, _ in ROW.findall(GUIDE))

    assert rows == sorted(
        (outcome.name, ANSWERS[outcome].code.name, recorded(outcome)) for outcome in REFUSALS
    )


@pytest.mark.parametrize("outcome", REFUSALS)
def test_a_row_tells_to_wait_where_the_status_says_for_how_long(outcome: Outcome) -> None:
    [happened] = [happened for name, _, _, happened, _ in ROW.findall(GUIDE) if name == outcome.name]

    assert ("`RetryInfo`" in happened) == (ANSWERS[outcome].retry_ms is not None)


@pytest.mark.parametrize("outcome", REFUSALS)
def test_the_till_takes_a_new_key_only_after_what_is_recorded(outcome: Outcome) -> None:
    [till] = [till for name, _, _, _, till in ROW.findall(GUIDE) if name == outcome.name]

    if "same call" in till:
        assert not is_recorded(outcome)
    if "new key" in till and outcome is not Outcome.IDEMPOTENCY_KEY_REUSED:
        assert is_recorded(outcome)


@pytest.mark.parametrize("language", QUOTED)
def test_what_is_quoted_of_an_example_stands_in_it(language: str) -> None:
    source = (DOCS / "examples" / QUOTED[language]).read_text()
    quoted = blocks(language)

    assert quoted
    assert [block for block in quoted if block not in source] == []


def test_the_sequences_are_drawn() -> None:
    pictures = blocks("mermaid")

    assert len(pictures) == 5
    assert all(picture.startswith("sequenceDiagram\n") for picture in pictures)
