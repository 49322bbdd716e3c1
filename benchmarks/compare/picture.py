"""The picture of the README, from the figures of a comparison: `python -m benchmarks.compare.picture`."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.compare.charts import cpu_chart
from benchmarks.compare.figures import Figure
from benchmarks.compare.names import BATCH, EMPTY, FLOOR, NATIVE, ROW, STREAM, UNARY

_SHOWN: Final = (FLOOR, BATCH, STREAM, NATIVE, EMPTY, UNARY, ROW)
# The page's own colours, once for a light and once for a dark ground.
_STYLE: Final = """<style>
svg { --ink: #1d2129; --faint: #5b6472; --grid: #dfe3e8; --server: #2f6fde; --postgres: #d97706; --client: #a3acb9;
      font-family: sans-serif }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6e9ee; --faint: #9aa4b2; --grid: #353c47; --server: #6ea0ff; --postgres: #f0a04b; --client: #5d6674 }
}
</style>"""


def picture(
    figures_file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Of `make bench`: its JSON.")],
    svg_file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to draw.")],
) -> None:
    """Draw whose CPU time an operation takes, beside the baselines."""
    found = json.loads(figures_file.read_text("utf-8"))["figures"]
    subjects = {
        name: {column: Figure(**figure) for column, figure in found[name].items()} for name in _SHOWN if name in found
    }
    element, rest = cpu_chart(subjects).split(">", 1)
    svg_file.write_text(f"{element}>\n{_STYLE}{rest}", "utf-8")


if __name__ == "__main__":
    typer.run(picture)
