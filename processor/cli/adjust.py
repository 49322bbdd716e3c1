"""`adjust`: points given and taken by the operator, through a server."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from processor.cli.adjustment_client import AdjustmentClient, AdjustmentResult, Server, batches
from processor.cli.adjustment_file import Adjustment, Reason, key_problem, read_adjustments
from processor.cli.errors import ExitStatus
from processor.cli.options import AsJson, check_identifier
from processor.cli.output import print_json, print_line, print_note, progress
from processor.domain.limits import MEMBER_ID_MAX, REDEEM_POINTS_MAX


def adjust(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="CSV below the header member_id,points,reason,key; or card in place of member_id.",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str, typer.Option(envvar="LOYALTY_ADDRESS", help="The server: HOST:PORT.")
    ] = "127.0.0.1:50051",
    api_key: Annotated[
        str, typer.Option(envvar="LOYALTY_API_KEY", help="A key of the role operator.", show_default=False)
    ] = "",
    tls_ca_file: Annotated[
        Path | None,
        typer.Option(help="Call by TLS; the authority that signed the server's certificate (PEM)."),
    ] = None,
    member_id: Annotated[
        int | None, typer.Option(min=1, max=MEMBER_ID_MAX, help="Without a file: the member's number.")
    ] = None,
    card: Annotated[str | None, typer.Option(help="Or a card of the member.")] = None,
    points: Annotated[
        int | None,
        typer.Option(min=-REDEEM_POINTS_MAX, max=REDEEM_POINTS_MAX, help="To give; below zero, to take."),
    ] = None,
    reason: Annotated[Reason | None, typer.Option(help="Why.")] = None,
    key: Annotated[str | None, typer.Option(help="An idempotency key that no other call has.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Give or take points, of one member or by a file; 1 if anything was refused.

    Run again with the same keys, it does nothing twice.
    """
    if not api_key:
        raise typer.BadParameter("name an API key of the role operator by --api-key or LOYALTY_API_KEY")
    one = {"member_id": member_id, "card": card, "points": points, "reason": reason, "key": key}
    if file and any(value is not None for value in one.values()):
        raise typer.BadParameter("give a file, or the options of one adjustment, not both")
    adjustments = read_adjustments(file) if file else [_one(one)]
    results: list[AdjustmentResult] = []
    try:
        asyncio.run(_send(Server(address, api_key, tls_ca_file), adjustments, results))
    finally:
        # Also what was done before the server was lost.
        if results or not adjustments:
            _show(results, as_json=as_json)
    if any(result.reason for result in results):
        raise typer.Exit(ExitStatus.REFUSED)


def _one(given: Mapping[str, Any]) -> Adjustment:
    member_id, card, points, reason, key = given.values()
    if (member_id is None) == (card is None):
        raise typer.BadParameter("name a file, or the member by --member-id or by --card")
    if card is not None:
        check_identifier("--card", card)
    if not points:
        raise typer.BadParameter("--points must say how many, and not 0")
    if reason is None:
        raise typer.BadParameter(f"--reason must be one of {', '.join(Reason)}")
    problem = key_problem(key or "")
    if problem:
        raise typer.BadParameter(f"--key {problem}")
    return Adjustment(key, member_id or 0, card or "", points, reason, key)


async def _send(server: Server, adjustments: Sequence[Adjustment], results: list[AdjustmentResult]) -> None:
    """Add the results to `results` as they come."""
    async with AdjustmentClient(server) as client:
        with progress() as bar:
            task = bar.add_task("Adjusting", total=len(adjustments))
            for batch in batches(adjustments):
                results += await client.send(batch)
                bar.update(task, completed=len(results))


def _show(results: Sequence[AdjustmentResult], *, as_json: bool) -> None:
    if as_json:
        print_json([_as_dict(result) for result in results])
        return
    for result in results:
        print_line(f"{result.adjustment.place}: {_told(result)}")
    counts = Counter(_outcome(result) for result in results)
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))
    print_note(f"{told or 'Nothing to adjust'}.")


def _outcome(result: AdjustmentResult) -> str:
    if result.reason:
        return "refused"
    return "applied before" if result.replayed else "applied"


def _told(result: AdjustmentResult) -> str:
    if not result.reason:
        return f"{_outcome(result)}, balance then {result.balance_points:,}"
    details = ", ".join(f"{name} {value}" for name, value in result.details.items())
    return f"refused: {result.reason}" + (f" ({details})" if details else "")


def _as_dict(result: AdjustmentResult) -> dict[str, Any]:
    return {
        "key": result.adjustment.key,
        "outcome": result.reason or "APPLIED",
        "replayed": result.replayed,
        "balance_points": result.balance_points,
        "details": result.details,
    }
