"""A chain's program as a YAML or JSON file: every problem told with its line and column."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from processor.domain.limits import AMOUNT_MINOR_MAX, REDEEM_POINTS_MAX
from processor.domain.program_document import ProgramDocument
from processor.located_yaml import LocatedDocument, Path, Place, Problem, dotted, read_located

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_SHOWN_CHARS_MAX: Final = 40


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
    """Read a program file. Raises ProgramFileError with every problem there is."""
    located = read_located(text)
    problems = list(located.problems)
    try:
        parsed = None if problems and located.data is None else _ProgramModel.model_validate(located.data)
    except ValidationError as error:
        problems += [_describe(each["loc"], each, located) for each in error.errors()]
        parsed = None
    if problems or parsed is None:
        raise ProgramFileError(sorted(problems))
    document = parsed.model_dump(exclude={"effective_from"}, exclude_none=True)
    return ProgramFile(cast("ProgramDocument", document), parsed.effective_from)


def format_program(document: ProgramDocument, effective_from_us: int) -> str:
    """The file that `parse_program` reads as this program, in YAML."""
    parsed = _ProgramModel.model_validate({**document})
    fields = parsed.model_dump(exclude={"effective_from"}, exclude_none=True)
    return yaml.safe_dump({**fields, "effective_from": format_time(effective_from_us)}, sort_keys=False)


def format_time(unix_us: int) -> str:
    """RFC 3339 in UTC, with as many digits as it takes."""
    return (_EPOCH + timedelta(microseconds=unix_us)).isoformat().replace("+00:00", "Z")


# --- the shape of the file -------------------------------------------------------------------------


def _whole(least: int, most: int) -> Any:
    return Field(ge=least, le=most, description=f"a whole number from {least:,} to {most:,}")


def _unix_us(value: object) -> int:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError from None
    if not 2000 <= moment.year < 2200:
        raise ValueError
    return (moment - _EPOCH) // timedelta(microseconds=1)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Earning(_Section):
    points_per_step: Annotated[int, _whole(1, 1_000_000)]
    step_minor: Annotated[int, _whole(1, AMOUNT_MINOR_MAX)]
    rounding: Annotated[
        Literal["down", "half_up", "half_even"], Field(description="down, half_up or half_even")
    ]
    rounding_scope: Annotated[Literal["receipt", "line"], Field(description="receipt or line")]


class _Redemption(_Section):
    value_points: Annotated[int, _whole(1, 1_000_000)]
    value_minor: Annotated[int, _whole(1, 1_000_000)]
    minimum_points: Annotated[int, _whole(1, REDEEM_POINTS_MAX)]
    maximum_share_percent: Annotated[int, _whole(1, 100)]

    @field_validator("minimum_points")
    @classmethod
    def _is_worth_something(cls, minimum_points: int, info: ValidationInfo) -> int:
        """A redemption must pay at least one minor unit."""
        value_points, value_minor = info.data.get("value_points"), info.data.get("value_minor")
        if value_points and value_minor and minimum_points * value_minor < value_points:
            least = -(-value_points // value_minor)
            raise ValueError(f"must be at least {least:,}: fewer points are worth less than one minor unit")
        return minimum_points


class _ProgramModel(_Section):
    earning: Annotated[_Earning, Field(description="a mapping of points_per_step, step_minor, ...")]
    redemption: Annotated[
        _Redemption | None, Field(description="a mapping of value_points, value_minor, ...")
    ] = None
    effective_from: Annotated[
        int | None,
        BeforeValidator(_unix_us),
        Field(description="an RFC 3339 time from 2000 to 2199, such as 2027-01-01T00:00:00Z"),
    ] = None


# --- what is wrong, in words -----------------------------------------------------------------------


def _describe(path: Path, error: Mapping[str, Any], located: LocatedDocument) -> Problem:
    start = Place(1, 1)
    match error["type"]:
        case "missing":
            place = located.keys.get(path[:-1], start)
            return Problem(place, dotted(path), f"is missing: must be {_wanted(path)}")
        case "extra_forbidden":
            return Problem(located.keys.get(path, start), dotted(path), _unknown_key(path))
        case "value_error" if str(error["ctx"]["error"]):
            return Problem(located.values[path], dotted(path), str(error["ctx"]["error"]))
    found = _shown(error["input"])
    if path == ("redemption", "maximum_share_percent") and found == "0":
        found += "; leave redemption out to allow none"
    return Problem(located.values.get(path, start), dotted(path), f"must be {_wanted(path)}, not {found}")


def _wanted(path: Path) -> str:
    """What the model says that the value at a path must be."""
    if not path:
        return "a mapping of earning, redemption, ..."
    field = _model_at(path[:-1]).model_fields[str(path[-1])]
    return str(field.description)


def _model_at(path: Path) -> type[_Section]:
    sections: dict[Path, type[_Section]] = {
        (): _ProgramModel,
        ("earning",): _Earning,
        ("redemption",): _Redemption,
    }
    return sections[path]


def _unknown_key(path: Path) -> str:
    known = _model_at(path[:-1]).model_fields
    nearest = get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known here are {', '.join(known)}"
    return f"is unknown: {hint}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}..."
