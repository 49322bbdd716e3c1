"""Reading and writing a program file."""

from datetime import timedelta
from typing import NamedTuple, cast

import yaml
from pydantic import ValidationError

from processor.domain.program_document import ProgramDocument
from processor.located_yaml import LocatedDocument, Path, Place, Problem, dotted, read_located
from processor.program_file.checks import contradictions
from processor.program_file.model import EPOCH, ProgramModel
from processor.program_file.words import describe, place_of_key


class ProgramFile(NamedTuple):
    """A validated file; `effective_from_us` is None if it names no time."""

    document: ProgramDocument
    effective_from_us: int | None


class ProgramFileError(Exception):
    """The file is no program; `problems` holds all that is wrong with it, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems

    def lines(self, file_name: str) -> list[str]:
        """One line for each problem, in the form that editors jump to."""
        return [
            f"{file_name}:{place.line}:{place.column}: {path}{': ' if path else ''}{message}"
            for place, path, message in self.problems
        ]


def parse_program(text: str) -> ProgramFile:
    """Read a program file.

    Raises ProgramFileError with every problem of its shape, or, if that is right, with every contradiction.
    """
    located = read_located(text)
    problems = list(located.problems)
    try:
        parsed = None if problems and located.data is None else ProgramModel.model_validate(located.data)
    except ValidationError as error:
        problems += [describe(each, located) for each in error.errors()]
        parsed = None
    if problems or parsed is None:
        raise ProgramFileError(sorted(problems))
    document = _document(parsed)
    if contradicting := _contradictions(document, located):
        raise ProgramFileError(sorted(contradicting))
    return ProgramFile(document, parsed.effective_from)


def _document(parsed: ProgramModel) -> ProgramDocument:
    return cast("ProgramDocument", parsed.model_dump(exclude={"effective_from"}, exclude_none=True))


def _contradictions(document: ProgramDocument, located: LocatedDocument) -> list[Problem]:
    return [
        Problem(_place(path, located), dotted(path), message) for path, message in contradictions(document)
    ]


def _place(path: Path, located: LocatedDocument) -> Place:
    """Where a value stands; of a section its key, of what is missing the section it is missing in."""
    while path not in located.values:
        path = path[:-1]
    has_keys = any(inner[:-1] == path for inner in located.values if inner)
    return place_of_key(path, located) if has_keys else located.values[path]


def format_program(document: ProgramDocument, effective_from_us: int) -> str:
    """The file that `parse_program` reads as this program, in YAML."""
    fields = _document(ProgramModel.model_validate({**document}))
    return yaml.safe_dump({**fields, "effective_from": format_time(effective_from_us)}, sort_keys=False)


def format_time(unix_us: int) -> str:
    """RFC 3339 in UTC, with as many digits as it takes."""
    return (EPOCH + timedelta(microseconds=unix_us)).isoformat().replace("+00:00", "Z")
