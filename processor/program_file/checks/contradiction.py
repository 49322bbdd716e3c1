"""A contradiction, and the questions that several checks ask."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from processor.domain.program_sections import GoodsDocument
from processor.located_yaml import Path, dotted


class Contradiction(NamedTuple):
    """What can't be at a path, and why."""

    path: Path
    message: str


def repeated(values: Sequence[Hashable], path: Path, *key: str) -> Iterator[Contradiction]:
    """Values of a list's items (at `key` within them) that were there before."""
    first: dict[Hashable, int] = {}
    for index, value in enumerate(values):
        if value in first:
            yield Contradiction((*path, index, *key), f"is already in {dotted((*path, first[value]))}")
        first.setdefault(value, index)


def empty_section(section: Mapping[str, object], path: Path) -> Iterator[Contradiction]:
    """A section that says nothing."""
    if not section:
        yield Contradiction(path, "is empty: leave it out")


def check_goods(goods: GoodsDocument, path: Path) -> Iterator[Contradiction]:
    """Goods that name nothing, or something twice."""
    yield from empty_section(goods, path)
    yield from repeated(goods.get("categories", ()), (*path, "categories"))
    yield from repeated(goods.get("brands", ()), (*path, "brands"))
    yield from repeated(goods.get("skus", ()), (*path, "skus"))


def exactly_one(section: Mapping[str, object], path: Path, *keys: str) -> Iterator[Contradiction]:
    """None or several of keys that exclude each other."""
    given = [key for key in keys if key in section]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        yield Contradiction(path, f"must have exactly one of {', '.join(keys)}, not {found}")
