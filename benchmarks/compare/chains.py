"""The chains of a comparison, with members who have nothing yet."""

from typing import Final, NamedTuple

from benchmarks.compare.settings import CHAINS_COUNT
from benchmarks.rich_program import RICH_PROGRAM
from benchmarks.service import Service
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from storage.directory import WINDOW_BACK_SECONDS, create_chain, create_key
from storage.owner import Connection, owner_connection

_ADD_MEMBERS: Final = """
INSERT INTO account (chain_id, member_id)
SELECT $1, member_id FROM generate_series(1, $2::bigint) AS member_id
"""


_OF_ONE_SUBJECT: Final = ("floor", "row", "idle", "idle-native")


class Chains(NamedTuple):
    """Those beside the service's own: some that only one subject writes to, and many of equal size."""

    floor_id: int
    row_id: int
    idle_ids: tuple[int, int]
    rich_api_key: str
    many_api_keys: tuple[str, ...]


class _Chain(NamedTuple):
    id: int
    api_key: str


async def make_chains(service: Service, members: int) -> Chains:
    """Make them, and enrol so many members of each; the many share as many."""
    async with owner_connection(service.dsn) as connection:
        floor, row, *idle = [await _add(connection, name, members) for name in _OF_ONE_SUBJECT]
        rich = await _add(connection, "rich", members, RICH_PROGRAM)
        names = [f"chain-{number}" for number in range(CHAINS_COUNT)]
        many = [await _add(connection, name, members_of_one(members)) for name in names]
        await add_members(connection, service.chain_id, members)
        await connection.execute("VACUUM ANALYZE account")
        await connection.execute("CHECKPOINT")
    return Chains(
        floor.id, row.id, (idle[0].id, idle[1].id), rich.api_key, tuple(each.api_key for each in many)
    )


async def _add(
    connection: Connection, name: str, members: int, document: ProgramDocument = DEFAULT_PROGRAM
) -> _Chain:
    chain_id = await create_chain(
        connection, name, window_back_seconds=WINDOW_BACK_SECONDS, document=document
    )
    await add_members(connection, chain_id, members)
    return _Chain(chain_id, await create_key(connection, chain_id))


async def add_members(connection: Connection, chain_id: int, members: int) -> None:
    """The members 1 to `members`, made in the server."""
    await connection.execute(_ADD_MEMBERS, chain_id, members)


def members_of_one(members: int) -> int:
    """How many of them each of the many chains has."""
    return -(-members // CHAINS_COUNT)
