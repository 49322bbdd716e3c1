"""`make bench-growth`: the options, and what comes out."""

import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.compare.client import BenchmarkError
from benchmarks.growth.report import print_growth, write_growth
from benchmarks.growth.run import run_growth
from benchmarks.growth.sizes import Size, check_disk, parse_size
from processor.cli.errors import CommandError
from processor.cli.output import print_note
from processor.domain.failures import StorageFailure
from storage.embedded import EmbeddedPostgresError

_SIZES: Final = (Size(1_000_000, 100_000), Size(7_000_000, 700_000), Size(50_000_000, 5_000_000))
_DIRECTORY: Final = Path(tempfile.gettempdir())


def command(
    *,
    size: Annotated[
        list[Size] | None,
        typer.Option(
            parser=parse_size,
            metavar="ROWS/MEMBERS",
            help="A ledger; again for each. [default: 1000000/100000, 7000000/700000, 50000000/5000000]",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds that count.")] = 9,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Length of one run of a round.")] = 5.0,
    directory: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Where PostgreSQL keeps its data meanwhile.")
    ] = _DIRECTORY,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", dir_okay=False, help="Write all figures here.")
    ] = None,
) -> None:
    """Fill ledgers of several sizes and measure batches of 500 on each, in interleaved rounds of one run."""
    sizes = sorted(size or _SIZES)
    check_disk(sizes, directory)
    growth = run_growth(sizes, rounds, seconds, directory)
    print_growth(growth)
    if json_file:
        write_growth(growth, json_file)


def main() -> None:
    """Run the command; what goes wrong is told in one line."""
    try:
        typer.run(command)
    except (BenchmarkError, CommandError, EmbeddedPostgresError, StorageFailure) as error:
        print_note(f"growth: {error}")
        raise SystemExit(2) from None
