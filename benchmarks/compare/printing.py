"""A report on standard output."""

from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.compare.report import Report
from benchmarks.compare.tables import (
    Table,
    growth_table,
    main_table,
    others_table,
    remarks,
    sweep_table,
    target_table,
)

# Lines that a program reads must not be broken at the width of a terminal that is not there.
_PIPED_COLUMNS: Final = 200
_STYLES: Final = {"yes": "green", "NO": "bold red"}


def print_report(report: Report) -> None:
    """Tables, and what to know about them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_COLUMNS
    for make in (main_table, sweep_table, others_table, growth_table, target_table):
        table = make(report)
        if table.rows:
            console.print(_rich(table))
    for line in remarks(report):
        console.print(line)


def _rich(table: Table) -> RichTable:
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    first, *others = table.columns
    rich.add_column(first, no_wrap=True)
    for heading in others:
        rich.add_column(heading, justify="right")
    for row in table.rows:
        rich.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return rich
