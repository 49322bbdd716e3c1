"""Restarts under load: with the shipped service config, no error at all reaches the caller's code."""

import asyncio
import itertools
import signal
import socket
from collections.abc import Iterator
from typing import Final

import grpc
import pytest

from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub
from storage.embedded import EmbeddedPostgres
from tests.chains import Chain
from tests.crash import loaded_chain, own_postgres
from tests.requests import accrue
from tests.server import REPOSITORY, Server, eventually, in_thread, serving

# What docs/client-service-config.md tells a till to give its channel.
CHANNEL_OPTIONS: Final = (
    ("grpc.service_config", (REPOSITORY / "docs" / "client-service-config.json").read_text("utf-8")),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)
CLIENTS: Final = 8


class PlainCallers:
    """Callers that know nothing of retries: the channel does what the service config says, no error may pass.

    `applied` are the keys of their calls; `replayed` counts those whose first attempt had lost its reply.
    """

    def __init__(self, chain: Chain, address: str) -> None:
        self.applied: list[str] = []
        self.replayed = 0
        self._chain = chain
        self._address = address
        self._is_finishing = False
        self._tasks = [asyncio.create_task(self._call_on(number)) for number in range(CLIENTS)]

    async def finish(self) -> None:
        """Let each end its last call; the error of a call is raised here."""
        self._is_finishing = True
        await asyncio.gather(*self._tasks)

    async def progress(self, calls: int) -> None:
        """Wait until so many more calls have been applied."""
        wanted = len(self.applied) + calls
        while len(self.applied) < wanted:
            done, _ = await asyncio.wait(self._tasks, timeout=0.02)
            for task in done:
                task.result()

    async def _call_on(self, number: int) -> None:
        metadata = (("authorization", f"Bearer {self._chain.api_key}"),)
        async with grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS) as channel:
            accrue_call = TransactionServiceStub(channel).Accrue
            for count in itertools.count():
                if self._is_finishing:
                    return
                request = accrue(number + 1, 10_000, idempotency_key=f"client-{number}-{count}")
                call = accrue_call(request, metadata=metadata)
                await call
                trailing = dict(await call.trailing_metadata())
                self.replayed += trailing.get("loyalty-replayed") == "true"
                self.applied.append(request.idempotency_key)

    async def prove(self) -> None:
        """The ledger has each of their calls once, and no other."""
        rows = await self._chain.query("SELECT idempotency_key FROM operation WHERE chain_id = $1")
        assert sorted(key for (key,) in rows) == sorted(self.applied)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def replace_workers(server: Server) -> None:
    """SIGHUP, and wait until each worker is another process and serves."""
    before = set(server.worker_pids())
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(server.worker_pids()) == len(before) and not before & set(server.worker_pids()))
    eventually(lambda: server.log().count("workers replaced") > 0)


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    with own_postgres() as postgres:
        yield postgres


@pytest.mark.timeout(900)
@pytest.mark.xdist_group("crashes")
async def test_restarts_reach_no_caller(
    postgres: EmbeddedPostgres, pytestconfig: pytest.Config, transport: str
) -> None:
    chain, port = await loaded_chain(postgres.dsn()), free_port()
    callers = PlainCallers(chain, f"127.0.0.1:{port}")  # they wait for the first server too
    for _ in range(pytestconfig.getoption("--restart-rounds")):
        async with in_thread(serving(postgres.dsn(), port=port, workers=2, transport=transport)) as server:
            await callers.progress(50)
            await asyncio.to_thread(replace_workers, server)
            await callers.progress(50)
    async with in_thread(serving(postgres.dsn(), port=port, workers=2, transport=transport)):
        await callers.progress(50)
        await callers.finish()
    print(f"{len(callers.applied)} calls, {callers.replayed} answered from the ledger")  # noqa: T201
    await callers.prove()
