"""What is wrong with the shape of a file, in words."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from processor.located_yaml import LocatedDocument, Path, Place, Problem, dotted
from processor.program_file.model import program_schema

_SHOWN_CHARS_MAX: Final = 40
_START: Final = Place(1, 1)


def describe(error: Mapping[str, Any], located: LocatedDocument) -> Problem:
    """One of pydantic's errors as a problem of the file."""
    path: Path = error["loc"]
    match error["type"]:
        case "missing":
            return Problem(
                place_of_key(path[:-1], located), dotted(path), f"is missing: must be {_wanted(path)}"
            )
        case "extra_forbidden":
            return Problem(place_of_key(path, located), dotted(path), _unknown_key(path))
        case "value_error" if str(error["ctx"]["error"]):
            return Problem(located.values[path], dotted(path), str(error["ctx"]["error"]))
    found = _shown(error["input"])
    if path == ("redemption", "maximum_share_percent") and found == "0":
        found += "; leave redemption out to allow none"
    place = located.values.get(path, _START)
    return Problem(place, dotted(path), f"must be {_wanted(path)}, not {found}")


def place_of_key(path: Path, located: LocatedDocument) -> Place:
    """Where the key of a value stands, or the value if it is an item of a list."""
    return located.keys.get(path) or located.values.get(path, _START)


def _wanted(path: Path) -> str:
    """What the value at a path must be."""
    return str(_schema_at(path)["description"]) if path else "a mapping of earning, redemption, ..."


def _schema_at(path: Path) -> dict[str, Any]:
    node = program_schema()
    for part in path:
        section = _section(node)
        node = section["items"] if isinstance(part, int) else section["properties"][part]
    return node


def _section(node: dict[str, Any]) -> dict[str, Any]:
    """The node itself, or the section that it refers to."""
    name = node.get("$ref", "").rpartition("/")[2]
    section: dict[str, Any] = program_schema()["$defs"][name] if name else node
    return section


def _unknown_key(path: Path) -> str:
    known = _section(_schema_at(path[:-1]))["properties"]
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
