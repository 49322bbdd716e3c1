"""The service that the receipts go through: one of its own, or one that runs already."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import asyncpg

from benchmarks import service
from benchmarks.replay.program import WINDOW_BACK_DAYS
from benchmarks.replay.rules import Rules
from benchmarks.replay.tills import ReplayError
from processor.domain.api_key import parse_api_key
from processor.program_file import parse_program
from storage.directory import list_chains, list_keys
from storage.members import Member, add_members
from storage.owner import owner_connection


class Endpoint(NamedTuple):
    """Where the service is; without a `dsn` its members cannot be enrolled nor its ledger verified."""

    target: str
    api_key: str
    dsn: str | None


@contextmanager
def own_service(workers: int, rules: Rules = Rules.PLAIN) -> Iterator[Endpoint]:
    """A service with a chain for the replay, on a PostgreSQL in a directory that is removed at the end."""
    program = parse_program(rules.program_file.read_text())
    with service.own_service(
        "replay",
        document=program.document,
        window_back_seconds=WINDOW_BACK_DAYS * 86_400,
        workers=workers,
    ) as own:
        yield Endpoint(own.target, own.api_key, own.dsn)


async def enrol(dsn: str, api_key: str, member_ids: Iterable[int]) -> None:
    """See that the key's chain has these members. Raises ReplayError if the key is not of that database."""
    async with owner_connection(dsn) as connection:
        chain_id = await _chain_of_key(connection, api_key)
        await add_members(connection, chain_id, [Member(member_id) for member_id in member_ids])


async def _chain_of_key(connection: asyncpg.Connection, api_key: str) -> int:
    key_id, _ = parse_api_key(api_key) or ("", "")
    for chain in await list_chains(connection):
        if key_id in {key.key_id for key in await list_keys(connection, chain.chain_id)}:
            return chain.chain_id
    raise ReplayError("the API key is not one of the database that --dsn names: give those of one service")
