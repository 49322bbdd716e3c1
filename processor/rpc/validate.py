"""Checks of single fields. Each returns the value as it is and notes in `found` what it violates."""

import re
from typing import Final

from processor.domain.limits import IDENTIFIER_CHARS_MAX
from processor.rpc.status import Violation

_E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")


def identifier(found: list[Violation], field: str, text: str) -> str:
    """1 to 64 printable characters."""
    if not 0 < len(text) <= IDENTIFIER_CHARS_MAX or not text.isprintable():
        found.append(Violation(field, _identifier_problem(text)))
    return text


def optional_identifier(found: list[Violation], field: str, text: str) -> str:
    """Empty, or 1 to 64 printable characters."""
    return identifier(found, field, text) if text else text


def phone_number(found: list[Violation], field: str, text: str) -> str:
    """A number in E.164. It is not told again: what is told is logged by many."""
    if not _E164.fullmatch(text):
        problem = "must be a phone number in E.164: + and 2 to 15 digits, the first not 0"
        found.append(Violation(field, problem if text else "is required"))
    return text


def within(found: list[Violation], field: str, value: int, lowest: int, highest: int) -> int:
    """An integer from `lowest` to `highest`, both included."""
    if not lowest <= value <= highest:
        found.append(Violation(field, f"must be {lowest} to {highest}, not {value}"))
    return value


def _identifier_problem(text: str) -> str:
    if not text:
        return "is required"
    if len(text) > IDENTIFIER_CHARS_MAX:
        return f"must have at most {IDENTIFIER_CHARS_MAX} characters, not {len(text)}"
    position, character = next(
        (position, character) for position, character in enumerate(text, 1) if not character.isprintable()
    )
    return f"must have printable characters only; number {position} is U+{ord(character):04X}"
