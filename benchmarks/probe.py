"""`python -m benchmarks.probe`: what it costs to look a key up, by the unit of the ledger's partitions.

Every partition that the window touches is looked into for every key; docs/scaling.md reckons with that.
"""

import asyncio
import secrets
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from asyncpg.pool import PoolConnectionProxy

from processor.cli.output import print_table
from storage.array_literals import texts
from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.owner import owner_connection
from storage.pool import open_pool
from storage.queries import load_queries

_UNITS: Final = ("month", "week", "day")
_CHAIN_ID: Final = 1
_WINDOW_DAYS: Final = 45
_KEYS: Final = 500
_PROBES: Final = 40
_DAY_US: Final = 86_400 * 1_000_000
_PROBE: Final = load_queries("ledger")["probe_keys"]
_FILL: Final = """
INSERT INTO operation
SELECT
    1, gen_random_uuid()::text, day, day, 1, number, 1, 0, 0, 0, 0, 0, 0, 1, '', '', '', '', '', ''
FROM
    generate_series(now() - make_interval(days => $1), now(), '1 day') AS day,
    generate_series(1, 500) AS number
"""


class Probe(NamedTuple):
    """CPU time of PostgreSQL for one key of a batch."""

    unit: str
    partitions: int
    key_us: float


def measure() -> list[Probe]:
    """Probe ledgers of the same rows in partitions of each unit."""
    with tempfile.TemporaryDirectory(prefix="loyalty-probe-") as directory:
        Path(directory).chmod(0o711)  # root may have to run PostgreSQL as another user
        with EmbeddedPostgres(Path(directory) / "postgres") as postgres:
            return [asyncio.run(_measure(postgres, unit)) for unit in _UNITS]


async def _measure(postgres: EmbeddedPostgres, unit: str) -> Probe:
    async with owner_connection(postgres.dsn()) as connection:
        await connection.execute(f"CREATE DATABASE by_{unit}")
    dsn = postgres.dsn(f"by_{unit}")
    await migrate(dsn)
    partitions = await _fill(dsn, unit)
    return Probe(unit, partitions, await _probe(dsn))


async def _fill(dsn: str, unit: str) -> int:
    """500 operations for each day of the window; returns how many partitions that takes."""
    async with owner_connection(dsn) as connection:
        await connection.execute("UPDATE partitioning SET unit = $1", unit)
        for days in range(_WINDOW_DAYS + 1):
            await connection.execute("SELECT ensure_partition(now() - make_interval(days => $1))", days)
        await connection.execute(_FILL, _WINDOW_DAYS)
        await connection.execute("ANALYZE operation")
        return int(await connection.fetchval("SELECT count(*) FROM ledger_partition"))


async def _probe(dsn: str) -> float:
    """As the service does, keys that nobody has used; the connection has probed before."""
    pool = await open_pool(dsn, connections=1, statement_timeout_seconds=60)
    async with pool, pool.acquire() as connection:
        await connection.execute(f"SELECT set_config('loyalty.chain_id', '{_CHAIN_ID}', FALSE)")
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        await _send_probes(connection)
        before = backend.cpu_times()
        await _send_probes(connection)
        after = backend.cpu_times()
    return (after.user + after.system - before.user - before.system) / (_KEYS * _PROBES) * 1_000_000


async def _send_probes(connection: PoolConnectionProxy) -> None:
    earliest_us = time.time_ns() // 1_000 - _WINDOW_DAYS * _DAY_US
    for _ in range(_PROBES):
        keys = [secrets.token_hex(16) for _ in range(_KEYS)]
        await connection.fetch(_PROBE, _CHAIN_ID, texts(keys), earliest_us)


if __name__ == "__main__":
    print_table(
        ("unit", "#partitions", "#us a key"),
        [(probe.unit, probe.partitions, f"{probe.key_us:.1f}") for probe in measure()],
    )
