"""The test vectors for tills, tests/vectors/*.json, as docs/vectors.md describes them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from processor.domain.program_document import ProgramDocument
from processor.program_file import parse_program
from tests.documents import merge_patch

FILES: Final = sorted((Path(__file__).parent / "vectors").glob("*.json"))
DEFAULT_AT: Final = "2026-03-02T10:00:00Z"
EVERYWHERE: Final = ("rules", "service")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Step = dict[str, Any]


@dataclass
class Case:
    """One case; `programs` are its rules with the times (in Unix microseconds) from which they hold."""

    name: str
    programs: list[tuple[int, ProgramDocument]]
    member: dict[str, Any]
    steps: list[Step]
    runs_in: tuple[str, ...]
    why: str


def cases(runner: str) -> list[Case]:
    """All cases of all files that are for this runner."""
    return [case for file in FILES for case in _read(file) if runner in case.runs_in]


def _read(file: Path) -> Iterator[Case]:
    content = json.loads(file.read_text())
    for raw in content["cases"]:
        first = merge_patch(content["program"], raw.get("program", {}))
        later = [
            (time_us(each["from"]), _validated(merge_patch(first, each["program"])))
            for each in raw.get("later_programs", ())
        ]
        yield Case(
            name=f"{file.stem}/{raw['name']}",
            programs=[(0, _validated(first)), *later],
            member=raw.get("member", {}),
            steps=raw["steps"],
            runs_in=tuple(raw.get("runs_in", EVERYWHERE)),
            why=raw["why"],
        )


def _validated(document: dict[str, Any]) -> ProgramDocument:
    return parse_program(json.dumps(document)).document


def time_us(text: str) -> int:
    """An RFC 3339 time in microseconds since the Unix epoch."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def time_text(at_us: int) -> str:
    """Inverse of `time_us`."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")


def total_minor(receipt: dict[str, Any]) -> int:
    """That of the receipt, or the sum of its lines."""
    return int(receipt.get("total_minor", sum(line["amount_minor"] for line in receipt.get("lines", ()))))


def differences(expected: dict[str, Any], answer: dict[str, Any]) -> dict[str, tuple[object, object]]:
    """By name, what was expected and what was answered, where they are not the same."""
    wanted = {"outcome": "APPLIED", **expected}
    return {
        name: (value, answer.get(name))
        for name, value in wanted.items()
        if not _matches(value, answer.get(name))
    }


def _matches(value: object, answered: object) -> bool:
    """Of details only those that are expected count."""
    if isinstance(value, dict) and isinstance(answered, dict):
        return all(_matches(inner, answered.get(name)) for name, inner in value.items())
    return value == answered
