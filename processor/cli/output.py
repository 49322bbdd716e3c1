"""What commands print: tables for people, JSON for machines, progress on a terminal only."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

# Lines that a program reads must not be broken at the width of a terminal that is not there.
_PIPED_COLUMNS = 100_000

# `:100:` is a line number here, not a picture.
errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def output() -> Console:
    """Standard output."""
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS)


def print_json(value: object) -> None:
    """One JSON value on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201


def print_line(text: str) -> None:
    """One line on standard output, exactly as it is."""
    output().print(text, markup=False, soft_wrap=True)


def print_note(text: str) -> None:
    """A line for people only, on standard error."""
    errors.print(text, markup=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output; columns whose name begins with `#` are numbers, to the right.

    Cells are shown as they are, or as styled `Text`.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.removeprefix("#"), justify="right" if column[0] == "#" else "left")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    output().print(table, "")


def print_fields(value: Mapping[str, Any], *, as_json: bool) -> None:
    """One value with its parts: JSON, or a table of its leaves."""
    if as_json:
        print_json(value)
    else:
        print_table(("field", "value"), _leaves(value))


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings and lists, by their path."""
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{path}.")
        elif isinstance(inner, list):
            yield from _leaves(dict(zip(map(str, range(len(inner))), inner, strict=True)), f"{path}.")
        else:
            yield path, inner


def progress() -> Progress:
    """A progress bar on standard error; shows nothing unless that is a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
