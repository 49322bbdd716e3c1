"""`python -m benchmarks.load`: read the options, send the load, report."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.latency import Latencies
from benchmarks.load.access import AccessError, check_access
from benchmarks.load.processes import Amount, ProcessError, run
from benchmarks.load.report import make_report, print_report, write_json
from benchmarks.load.session import Load, Mode, Sent

_UNARY_IN_FLIGHT: Final = 512
_MANY_IN_FLIGHT: Final = 8
_SECONDS: Final = 10.0
_errors: Final = Console(stderr=True, highlight=False)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def load(
    *,
    target: Annotated[str, typer.Option(metavar="HOST:PORT", help="The service; plaintext, without TLS.")],
    api_key: Annotated[
        str, typer.Option(envvar="LOYALTY_API_KEY", help="API key of the chain.", show_default=False)
    ],
    members: Annotated[int, typer.Option(min=1, help="Members of the chain: those numbered 1 to this.")],
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes that send.")] = 1,
    connections: Annotated[int, typer.Option(min=1, max=500, help="Connections of each process.")] = 4,
    in_flight: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Messages of each process under way, at most.",
            show_default=f"{_UNARY_IN_FLIGHT}; {_MANY_IN_FLIGHT} of batches and streams",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="How long to send.", show_default=f"{_SECONDS:g}")
    ] = None,
    operations: Annotated[int | None, typer.Option(min=1, help="How many to send instead.")] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, help="Operations a second that arrive, answered or not (open loop)."),
    ] = None,
    mode: Annotated[Mode, typer.Option(help="How operations travel.")] = Mode.UNARY,
    message_ops: Annotated[
        int, typer.Option(min=1, max=1_000, help="Operations of a batch, or of a stream's message.")
    ] = 100,
    mix: Annotated[Sent, typer.Option(help="Accruals, or with redemptions and repeats.")] = Sent.ACCRUE,
    zipf: Annotated[
        float, typer.Option(min=0, max=3, help="Exponent of Zipf's law for members; 0: all alike.")
    ] = 1.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", dir_okay=False, help="Write all figures here.")
    ] = None,
    hdr_file: Annotated[
        Path | None,
        typer.Option("--hdr", metavar="FILE", dir_okay=False, help="Write the latencies' distribution here."),
    ] = None,
) -> None:
    """Send the service as much as it can take, or as much as arrives, and check every answer.

    Exit status: 0 all answered as they must be; 1 something failed; 2 it could not be done.
    """
    if seconds and operations:
        raise typer.BadParameter("give --seconds or --operations, not both")
    under_way = in_flight or (_UNARY_IN_FLIGHT if mode is Mode.UNARY else _MANY_IN_FLIGHT)
    planned = Load(
        target=target,
        api_key=api_key,
        members=members,
        zipf_exponent=zipf,
        mode=mode,
        message_ops=message_ops,
        mix=mix,
        connections=connections,
        in_flight=under_way,
        rate=rate,
    )
    amount = Amount(operations, None if operations else seconds or _SECONDS)
    check_access(planned)
    with _errors.status(f"Sending to {target}"):
        parts = run(planned, amount, processes)
    latencies = Latencies()
    for part in parts:
        latencies.add(part.latencies)
    settings = {**asdict(planned), **amount._asdict(), "processes": processes, "api_key": "..."}
    report = make_report(settings, parts, latencies)
    print_report(report)
    if json_file:
        write_json(report, json_file)
    if hdr_file:
        latencies.write_distribution(hdr_file)
    raise typer.Exit(1 if report.failed else 0)


def main() -> None:
    """Run the command; what goes wrong is told in one line."""
    try:
        app(prog_name="python -m benchmarks.load")
    except (AccessError, ProcessError) as error:
        _errors.print(f"load: {error}", markup=False, soft_wrap=True)
        raise SystemExit(2) from None
