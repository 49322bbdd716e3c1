"""`balance` and `operation`: what the ledger says."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import typer

from processor.cli.errors import CommandError
from processor.cli.options import AsJson, ChainName, Dsn, check_identifier, resolve_dsn
from processor.cli.output import print_fields
from processor.domain.limits import MEMBER_ID_MAX
from processor.domain.member import Holder
from processor.domain.operation import Recorded
from storage.directory import find_chain
from storage.owner import owner_connection
from storage.pool import open_pool
from storage.reads import PostgresReader

Result = TypeVar("Result")

_STATEMENT_SECONDS: Final = 30


def balance(
    chain: ChainName,
    member_id: Annotated[
        int | None, typer.Option(min=1, max=MEMBER_ID_MAX, help="The member's number.", show_default=False)
    ] = None,
    card: Annotated[str | None, typer.Option(help="Or a card of the member.", show_default=False)] = None,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print a member's points."""
    if (member_id is None) == (card is None):
        raise typer.BadParameter("name the member by --member-id or by --card")
    if card is not None:
        check_identifier("--card", card)

    async def work(reader: PostgresReader, chain_id: int) -> Holder | None:
        return await reader.holder(chain_id, member_id or 0, card or "")

    holder = _read(chain, dsn, work)
    if holder is None:
        raise CommandError(
            f"chain {chain} has no member with {f'card {card}' if card else f'id {member_id}'}"
        )
    shown = {
        "member_id": holder.account.member_id,
        "balance_points": holder.account.balance_points,
        "member_sequence": holder.account.member_sequence,
    }
    print_fields(shown, as_json=as_json)


def operation(
    chain: ChainName,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The call's idempotency key.", show_default=False)
    ],
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print what is recorded under an idempotency key; the JSON is that of the call GetOperation."""
    from processor.rpc.render import recorded_as_dict

    check_identifier("KEY", key)

    async def work(reader: PostgresReader, chain_id: int) -> Recorded | None:
        return await reader.recorded(chain_id, key)

    recorded = _read(chain, dsn, work)
    if recorded is None:
        raise CommandError(f"chain {chain} has no operation under the key {key!r}: the key is free")
    print_fields(recorded_as_dict(key, recorded), as_json=as_json)


def _read(chain: str, dsn: str | None, work: Callable[[PostgresReader, int], Awaitable[Result]]) -> Result:
    """Read something of a chain as the service does, in its role."""

    async def open_and_work() -> Result:
        resolved = resolve_dsn(dsn)
        async with owner_connection(resolved) as connection:
            chain_id = await find_chain(connection, chain)
        pool = await open_pool(resolved, connections=1, statement_timeout_seconds=_STATEMENT_SECONDS)
        try:
            return await work(PostgresReader(pool), chain_id)
        finally:
            await pool.close()

    return asyncio.run(open_and_work())
