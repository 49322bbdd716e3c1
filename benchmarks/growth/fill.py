"""Fills a ledger with rows by the server itself, since a year of them is to be there in minutes."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Final

from benchmarks.compare.chains import add_members
from benchmarks.growth.sizes import Size
from storage.owner import Connection, owner_connection

_MONTHS: Final = 12
# As those of a plain accrual.
_BYTES: Final = {"fingerprint_bytes": 52, "response_bytes": 90, "hash_bytes": 32}
_FILL: Final = files(__package__).joinpath("fill.sql").read_text("utf-8")
_MAKE_PARTITION: Final = "SELECT ensure_partition(now() - make_interval(months => $1))"
_RANGE: Final = """
SELECT range_from, least(range_to, now() - INTERVAL '1 minute') FROM ledger_partition WHERE name = $1
"""
_BOUNDS: Final = """
SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = $1::text::regclass
"""
_INDEXES: Final = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1"


async def fill(dsn: str, chain_id: int, size: Size, on_rows: Callable[[int], None]) -> None:
    """Members, and rows over the last months, of a chain whose database is empty; `on_rows` hears of them."""
    async with owner_connection(dsn) as connection:
        await connection.execute(
            "SET maintenance_work_mem = '512MB'; SET loyalty.chain_id = " + str(chain_id)
        )
        await add_members(connection, chain_id, size.members)
        for month, rows in _months(size.rows):
            partition = await connection.fetchval(_MAKE_PARTITION, month)
            await _fill_partition(connection, partition, chain_id, size.members, rows)
            on_rows(rows)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")


def _months(rows: int) -> Iterator[tuple[int, int]]:
    """How many months ago, and the rows of that month."""
    whole, rest = divmod(rows, _MONTHS)
    for month in range(_MONTHS):
        yield month, whole + (month < rest)


async def _fill_partition(
    connection: Connection, partition: str, chain_id: int, members: int, rows: int
) -> None:
    """Alone and without its indexes, which are made faster at the end; they are what they were."""
    [(first_us, last_us)] = await connection.fetch(_RANGE, partition)
    bounds = await connection.fetchval(_BOUNDS, partition)
    await connection.execute(f'ALTER TABLE operation DETACH PARTITION "{partition}"')
    indexes = await connection.fetch(_INDEXES, partition)
    for name, _ in indexes:
        await connection.execute(f'DROP INDEX "{name}"')
    statement = _FILL.format(partition=partition, **_BYTES)
    await connection.execute(statement, chain_id, members, first_us, last_us, rows, timeout=None)
    for _, definition in indexes:
        await connection.execute(definition, timeout=None)
    await connection.execute(f'ALTER TABLE operation ATTACH PARTITION "{partition}" {bounds}', timeout=None)
