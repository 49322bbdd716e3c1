"""`program simulate`: what another program would have given on the receipts that there were."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from processor.cli.options import AsJson, ChainName, Dsn, as_owner
from processor.cli.output import print_json, print_line, print_table, progress
from processor.cli.program_input import ProgramPath, read_program
from processor.clock import now_us
from processor.domain.program import program_in_force
from processor.domain.program_document import ProgramDocument, program_from_document
from processor.simulation import Change, Comparison, Group
from storage.directory import find_chain, programs
from storage.owner import Connection
from storage.simulation import count_history, member_histories

_DAY_US: Final = 86_400 * 1_000_000
_NONE: Final = "(none)"


def simulate(
    chain: ChainName,
    file: ProgramPath,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How far back to begin.")] = 90,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what a program would have given on the chain's receipts, beside the present one; writes nothing.

    Both begin with empty accounts. Customers redeem what they did, as far as each program lets them. Limits
    per card, terminal and store are not applied.
    """
    parsed = read_program(file)

    async def work(connection: Connection) -> Comparison:
        return await _compare(connection, await find_chain(connection, chain), parsed.document, days)

    comparison = as_owner(dsn, work)
    if as_json:
        print_json(_as_dict(comparison))
    else:
        _show(comparison, days)


async def _compare(connection: Connection, chain_id: int, document: ProgramDocument, days: int) -> Comparison:
    until_us = now_us()
    since_us = until_us - days * _DAY_US
    versions = tuple(program_from_document(*row) for row in await programs(connection, chain_id))
    proposed = program_from_document(len(versions) + 1, until_us, document)
    comparison = Comparison(program_in_force(versions, until_us), proposed, until_us)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        with progress() as bar:
            task = bar.add_task("Simulating", total=await count_history(connection, chain_id, since_us))
            async for history in member_histories(connection, chain_id, since_us):
                comparison.add(*history)
                bar.advance(task, len(history.operations))
    return comparison


# --- what is shown --------------------------------------------------------------------------------


def _show(comparison: Comparison, days: int) -> None:
    everybody = comparison.all
    print_line(f"{everybody.members:,} members with operations in the last {days} days.")
    print_table(("figure", "#present", "#new", "#difference"), _figure_rows(everybody))
    if comparison.receipts_without_lines:
        count = comparison.receipts_without_lines
        print_line(f"{count:,} receipts have no lines: rules for goods have no effect on them.")
    if any(comparison.present_tiers) or any(comparison.proposed_tiers):
        tiers = _tier_rows(comparison.present_tiers, comparison.proposed_tiers)
        print_table(("members by tier", "#present", "#new", "#difference"), tiers)
    if any(comparison.segments):
        print_table(
            ("earned by segment", "#present", "#new", "#difference"), _segment_rows(comparison.segments)
        )
    for title, changes in (("gain most", comparison.winners), ("lose most", comparison.losers)):
        if changes:
            print_table((f"members who {title}", "#present", "#new", "#difference"), _change_rows(changes))


def _figure_rows(group: Group) -> Iterator[Sequence[str]]:
    for name, present in asdict(group.present).items():
        yield _row(name, present, getattr(group.proposed, name))


def _tier_rows(present: Counter[str], proposed: Counter[str]) -> Iterator[Sequence[str]]:
    for tier in dict.fromkeys([*present, *proposed]):
        yield _row(tier or _NONE, present[tier], proposed[tier])


def _segment_rows(segments: Mapping[str, Group]) -> Iterator[Sequence[str]]:
    for name, group in sorted(segments.items()):
        yield _row(name or _NONE, group.present.earned_points, group.proposed.earned_points)


def _change_rows(changes: Sequence[Change]) -> Iterator[Sequence[str]]:
    for change in changes:
        yield _row(str(change.member_id), change.present_minor, change.proposed_minor)


def _row(name: str, present: int, proposed: int) -> Sequence[str]:
    return name, f"{present:,}", f"{proposed:,}", f"{proposed - present:+,}"


def _as_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "all": asdict(comparison.all),
        "segments": {name: asdict(group) for name, group in sorted(comparison.segments.items())},
        "tiers": {"present": comparison.present_tiers, "proposed": comparison.proposed_tiers},
        "receipts_without_lines": comparison.receipts_without_lines,
        "winners": [change._asdict() for change in comparison.winners],
        "losers": [change._asdict() for change in comparison.losers],
    }
