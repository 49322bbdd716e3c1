"""The chains of a comparison, with members who have nothing yet."""

from typing import Final, NamedTuple

from benchmarks.compare.settings import CHAINS_COUNT
from benchmarks.rich_program import RICH_PROGRAM
from benchmarks.service import Service, add_chain
from storage.owner import Connection, owner_connection

_ADD_MEMBERS: Final = """
INSERT INTO account (chain_id, member_id)
SELECT $1, member_id FROM generate_series(1, $2::bigint) AS member_id
"""


class Chains(NamedTuple):
    """Those beside the service's own: some that only one subject writes to, and many of equal size."""

    floor_id: int
    row_id: int
    idle_id: int
    rich_api_key: str
    many_api_keys: tuple[str, ...]


async def make_chains(service: Service, members: int) -> Chains:
    """Make them, and enrol so many members of each; the many share as many."""
    floor_id, _ = await add_chain(service.dsn, "floor")
    row_id, _ = await add_chain(service.dsn, "row")
    idle_id, _ = await add_chain(service.dsn, "idle")
    rich_id, rich_api_key = await add_chain(service.dsn, "rich", RICH_PROGRAM)
    many = [await add_chain(service.dsn, f"chain-{number}") for number in range(CHAINS_COUNT)]
    async with owner_connection(service.dsn) as connection:
        for chain_id in (service.chain_id, floor_id, row_id, idle_id, rich_id):
            await add_members(connection, chain_id, members)
        for chain_id, _ in many:
            await add_members(connection, chain_id, members_of_one(members))
        await connection.execute("VACUUM ANALYZE account")
        await connection.execute("CHECKPOINT")
    return Chains(floor_id, row_id, idle_id, rich_api_key, tuple(api_key for _, api_key in many))


async def add_members(connection: Connection, chain_id: int, members: int) -> None:
    """The members 1 to `members`, made in the server."""
    await connection.execute(_ADD_MEMBERS, chain_id, members)


def members_of_one(members: int) -> int:
    """How many of them each of the many chains has."""
    return -(-members // CHAINS_COUNT)
