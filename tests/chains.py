"""Chains, members and cards for tests, put into a database as an operator would."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import asyncpg

from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from storage.directory import WINDOW_AHEAD_SECONDS, WINDOW_BACK_SECONDS, create_chain, create_key
from storage.pool import connect
from tests.postgres import run

_numbers: Final = itertools.count(1)


class Chain(NamedTuple):
    """A chain of one database, and an API key of it."""

    dsn: str
    chain_id: int
    name: str
    api_key: str

    def add_members(self, member_ids: Iterable[int], cards: Mapping[str, int] | None = None) -> None:
        """Enrol members with nothing on their accounts; `cards` maps cards to them."""
        run(self._add_members(member_ids, cards or {}))

    async def _add_members(self, member_ids: Iterable[int], cards: Mapping[str, int]) -> None:
        connection = await connect(self.dsn)
        try:
            await connection.execute(
                "INSERT INTO account (chain_id, member_id) SELECT $1, unnest($2::bigint [])",
                self.chain_id,
                list(member_ids),
            )
            await connection.execute(
                "INSERT INTO card (chain_id, card, member_id)"
                " SELECT $1, cards.* FROM unnest($2::text [], $3::bigint []) AS cards",
                self.chain_id,
                list(cards),
                list(cards.values()),
            )
        finally:
            await connection.close()

    def query(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement as the owner of the tables; `$1` is the chain_id."""
        return query(self.dsn, statement, self.chain_id, *arguments)

    def operation_count(self) -> int:
        """Rows that the ledger has of the chain."""
        [row] = self.query("SELECT count(*) FROM operation WHERE chain_id = $1")
        return int(row[0])


def query(dsn: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """Run one statement as the owner of the tables."""

    async def fetch() -> list[asyncpg.Record]:
        connection = await connect(dsn)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    return run(fetch())


def new_chain(
    dsn: str,
    *,
    document: ProgramDocument = DEFAULT_PROGRAM,
    window_back_seconds: int = WINDOW_BACK_SECONDS,
    window_ahead_seconds: int = WINDOW_AHEAD_SECONDS,
) -> Chain:
    """A new chain under a name of its own."""
    name = f"chain-{next(_numbers)}"

    async def create() -> tuple[int, str]:
        connection: Any = await connect(dsn)
        try:
            chain_id = await create_chain(
                connection,
                name,
                document=document,
                window_back_seconds=window_back_seconds,
                window_ahead_seconds=window_ahead_seconds,
            )
            return chain_id, await create_key(connection, chain_id, "tests")
        finally:
            await connection.close()

    chain_id, api_key = run(create())
    return Chain(dsn, chain_id, name, api_key)
