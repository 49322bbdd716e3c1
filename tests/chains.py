"""Chains, members and cards for tests, put into a database as an operator would."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import asyncpg

from processor.domain.chain import Role
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from storage.directory import WINDOW_AHEAD_SECONDS, WINDOW_BACK_SECONDS, create_chain, create_key
from storage.pool import connect

_numbers: Final = itertools.count(1)


class Chain(NamedTuple):
    """A chain of one database, and an API key of it."""

    dsn: str
    chain_id: int
    name: str
    api_key: str

    async def add_members(self, member_ids: Iterable[int], cards: Mapping[str, int] | None = None) -> None:
        """Enrol members with nothing on their accounts; `cards` maps cards to them."""
        cards = cards or {}
        await self.query(
            "INSERT INTO account (chain_id, member_id) SELECT $1, unnest($2::bigint [])", list(member_ids)
        )
        await self.query(
            "INSERT INTO card (chain_id, card, member_id)"
            " SELECT $1, cards.* FROM unnest($2::text [], $3::bigint []) AS cards",
            list(cards),
            list(cards.values()),
        )

    async def query(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement as the owner of the tables; `$1` is the chain_id."""
        return await query(self.dsn, statement, self.chain_id, *arguments)

    async def operator_key(self) -> str:
        """A new API key with the operator's role."""
        connection = await connect(self.dsn)
        try:
            return await create_key(connection, self.chain_id, "tests", Role.OPERATOR)
        finally:
            await connection.close()

    async def operation_count(self) -> int:
        """Rows that the ledger has of the chain."""
        [row] = await self.query("SELECT count(*) FROM operation WHERE chain_id = $1")
        return int(row[0])


async def query(dsn: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """Run one statement as the owner of the tables."""
    connection = await connect(dsn)
    try:
        return list(await connection.fetch(statement, *arguments))
    finally:
        await connection.close()


async def new_chain(
    dsn: str,
    *,
    document: ProgramDocument = DEFAULT_PROGRAM,
    window_back_seconds: int = WINDOW_BACK_SECONDS,
    window_ahead_seconds: int = WINDOW_AHEAD_SECONDS,
) -> Chain:
    """A new chain under a name of its own."""
    name = f"chain-{next(_numbers)}"
    connection = await connect(dsn)
    try:
        chain_id = await create_chain(
            connection,
            name,
            document=document,
            window_back_seconds=window_back_seconds,
            window_ahead_seconds=window_ahead_seconds,
        )
        return Chain(dsn, chain_id, name, await create_key(connection, chain_id, "tests"))
    finally:
        await connection.close()
