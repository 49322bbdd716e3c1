"""`python -m tests.dashboards.draw`: the dashboards' pictures, of a real server under load.

Two workers on a PostgreSQL with a synchronous standby serve three chains; one till reuses keys, one has a
wrong clock, and a worker is killed on the way.
"""

import argparse
import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.alerts.prometheus import Prometheus, watching
from tests.chains import Chain, new_chain
from tests.client import Till
from tests.dashboards.dashboards import FILES
from tests.dashboards.picture import draw
from tests.dashboards.series import Span
from tests.load import MEMBERS, Load
from tests.requests import DAY_SECONDS, accrue, ago, reverse
from tests.server import Server, started
from tests.standby import replicated

PICTURES: Final = Path(__file__).parents[2] / "docs/dashboards"
CLIENTS_OF_CHAINS: Final = (8, 4, 1)


def main() -> None:
    """Make the load, and draw what Prometheus has seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150, help="how long the load lasts (default: 150)")
    seconds = parser.parse_args().seconds
    with (
        replicated() as pair,
        started(pair.dsn(), workers=2, measure_seconds=2) as server,
        tempfile.TemporaryDirectory(prefix="loyalty-prometheus-") as directory,
        watching(server.http, Path(directory)) as prometheus,
    ):
        start = time.time()
        asyncio.run(load(pair.dsn(), server, seconds))
        draw_all(prometheus, Span(start + 5, time.time()))


def draw_all(prometheus: Prometheus, span: Span) -> None:
    """Every dashboard, into its file."""
    for file in FILES:
        picture = PICTURES / f"{file.stem}.png"
        draw(file, prometheus, span, picture)
        print(f"{picture}: {picture.stat().st_size:,} bytes")  # noqa: T201


async def load(dsn: str, server: Server, seconds: float) -> None:
    """One chain after another joins; a worker dies after two thirds."""
    loads = []
    mischief = None
    for clients in CLIENTS_OF_CHAINS:
        chain = await loaded_chain(dsn)
        loads.append(Load(chain, server.address, clients))
        mischief = mischief or asyncio.create_task(make_mischief(chain, server.address))
        await asyncio.sleep(seconds / 6)
    await asyncio.sleep(seconds / 6)
    os.kill((await asyncio.to_thread(server.worker_pids))[0], signal.SIGKILL)
    await asyncio.sleep(seconds / 3)
    assert mischief
    mischief.cancel()
    for each in loads:
        await each.finish()


async def loaded_chain(dsn: str) -> Chain:
    """A chain with the members that `Load` sends calls for."""
    chain = await new_chain(dsn)
    await chain.add_members(MEMBERS, {f"card-{member_id}": member_id for member_id in MEMBERS})
    return chain


async def make_mischief(chain: Chain, address: str) -> None:
    """A till that reuses a key, one whose clock is wrong, and one where goods come back."""
    async with Till(address, chain.api_key) as till:
        for number in range(10_000):
            await till.write(accrue(1, 10_000 + number, idempotency_key="reused", terminal_id="till-13"))
            await till.write(accrue(2, occurred_at=ago(100 * DAY_SECONDS), terminal_id="till-7"))
            sale = accrue(3, 90_000)
            await till.write(sale)
            await till.write(reverse(3, sale.idempotency_key))
            await asyncio.sleep(2)


if __name__ == "__main__":
    main()
