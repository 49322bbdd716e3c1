"""YAML, and so JSON, read into plain data that still knows its lines and columns."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import yaml

Path: TypeAlias = tuple[str | int, ...]

_WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_TRUTH_VALUES: Final = {"true": True, "false": False}


class Place(NamedTuple):
    """A position in a file, counted from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """What is wrong, where, and what it must be; `path` is empty for the file as a whole."""

    place: Place
    path: str
    message: str


@dataclass
class LocatedDocument:
    """Mappings, lists, numbers, truth values and texts; `values` and `keys` tell where each path stands."""

    data: object = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_located(text: str) -> LocatedDocument:
    """Read one document. What is no YAML, and keys given twice, are among its `problems`.

    Only unquoted decimal whole numbers are numbers, and only unquoted `true` and `false` are truth values;
    everything else is text, so that `010`, `1:30` and `no` mean nothing but themselves.
    """
    document = LocatedDocument()
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # JSON may be indented with tabs, YAML not
    try:
        root = yaml.compose(text, _Loader)
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error, text))
    except RecursionError:
        document.problems.append(Problem(Place(1, 1), "", "is nested too deeply"))
    else:
        if root is None:
            document.problems.append(Problem(Place(1, 1), "", "is empty"))
        else:
            document.data = _read_node(root, (), document)
    return document


class _Loader(yaml.BaseLoader):
    """Refuses aliases: they would let a small file describe an endless document."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not taken here", mark)
        return super().compose_node(parent, index)


def _read_node(node: yaml.Node, path: Path, document: LocatedDocument) -> object:
    document.values[path] = _place(node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return {
            key: _read_node(value, (*path, key), document) for key, value in _entries(node, path, document)
        }
    if isinstance(node, yaml.SequenceNode):
        return [_read_node(item, (*path, index), document) for index, item in enumerate(node.value)]
    return _read_plain(node.value) if isinstance(node, yaml.ScalarNode) and not node.style else node.value


def _read_plain(text: str) -> int | bool | str:
    if text in _TRUTH_VALUES:
        return _TRUTH_VALUES[text]
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else text


def _entries(
    node: yaml.MappingNode, path: Path, document: LocatedDocument
) -> Iterator[tuple[str, yaml.Node]]:
    """The entries of a mapping; a key that is no text or was there before becomes a problem."""
    for key_node, value_node in node.value:
        place = _place(key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append(Problem(place, dotted(path), "a key must be a word"))
            continue
        key = (*path, key_node.value)
        if key in document.keys:
            message = f"is given twice, first in line {document.keys[key].line}"
            document.problems.append(Problem(place, dotted(key), message))
            continue
        document.keys[key] = place
        yield key_node.value, value_node


def dotted(path: Path) -> str:
    """The path as a person writes it."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return Problem(_place(error.problem_mark), "", f"is not valid YAML: {error.problem}")
    before = text[: getattr(error, "position", 0)]
    place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
    return Problem(place, "", f"is not valid YAML: {getattr(error, 'reason', error)}")
