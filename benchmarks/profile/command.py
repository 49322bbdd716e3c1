"""`make profile`: the options, and what comes out."""

from typing import Annotated

import typer

from benchmarks.compare.client import BenchmarkError
from benchmarks.profile.run import Mode, Plan, Profile, Transport, run_profile
from benchmarks.profile.stacks import functions, shares
from processor.cli.errors import CommandError
from processor.cli.output import print_line, print_note, print_table
from processor.domain.failures import StorageFailure
from storage.embedded import EmbeddedPostgresError


def command(
    *,
    transport: Annotated[Transport, typer.Option(help="By which the worker is reached.")] = Transport.GRPCIO,
    mode: Annotated[Mode, typer.Option(help="What is sent.")] = Mode.UNARY,
    members: Annotated[int, typer.Option(min=1_000, max=5_000_000, help="Of the chain.")] = 100_000,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long samples are taken.")] = 8.0,
    samples_per_second: Annotated[int, typer.Option("--rate", min=1, max=1_000, help="A second.")] = 400,
    top: Annotated[int, typer.Option(min=0, max=1_000, help="Functions that are listed.")] = 20,
) -> None:
    """Sample a busy worker by perf, and tell where its CPU time goes."""
    profile = run_profile(Plan(transport, mode, members, seconds, samples_per_second))
    _print(profile, top)


def _print(profile: Profile, top: int) -> None:
    parts = shares(profile.stacks).items()
    print_table(("part", "#share"), [(part, f"{share:.0%}") for part, share in parts])
    rows = [(function, f"{share:.1%}") for function, share in functions(profile.stacks, top)]
    print_table(("function", "#its own share"), rows)
    sample = profile.sample
    print_line(
        f"{len(profile.stacks):,} samples of the worker's CPU time; "
        f"without a sampler {sample.operations_per_second:,.0f} operations a second, of which each takes "
        f"{sample.server_us:,.0f} us of the server's CPU and {sample.postgres_us:,.0f} of PostgreSQL's"
    )


def main() -> None:
    """Run the command; what goes wrong is told in one line."""
    try:
        typer.run(command)
    except (BenchmarkError, CommandError, EmbeddedPostgresError, StorageFailure) as error:
        print_note(f"profile: {error}")
        raise SystemExit(2) from None
