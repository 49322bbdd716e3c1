"""The load generator against a real server: it checks every answer, counts what it should, and ends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load.access import AccessError, check_access
from benchmarks.load.session import Load, Mode, Sent
from benchmarks.load.tally import Tally
from benchmarks.load.wire import UnreachableError
from tests.chains import Chain, new_chain
from tests.postgres import Server as Postgres
from tests.server import REPOSITORY, Server, environment, serving, started

MEMBERS = 500


@pytest.fixture(scope="module")
def dsn(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def server(dsn: str) -> Iterator[Server]:
    # Connections that age while the load goes on.
    with serving(dsn, connection_age_seconds_max=1) as server:
        yield server


@pytest.fixture
def chain(dsn: str) -> Chain:
    return asyncio.run(new_members(dsn))


async def new_members(dsn: str) -> Chain:
    chain = await new_chain(dsn)
    await chain.add_members(range(1, MEMBERS + 1))
    return chain


def load(chain: Chain, server: Server, **others: Any) -> Load:
    return Load(server.address, chain.api_key, MEMBERS, **others)


def send(load: Load, *, operations: int | None = None, seconds: float | None = None) -> Tally:
    """A load that goes well, from this process."""
    with load.connect() as session:
        tally = session.send(operations=operations, seconds=seconds)
    assert tally.failures == {}
    return tally


def command(chain: Chain, server: Server, *arguments: str) -> list[str]:
    given = ("--target", server.address, "--api-key", chain.api_key, "--members", str(MEMBERS))
    return [sys.executable, "-m", "benchmarks.load", *given, *arguments]


def generate(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mix", Sent)
@pytest.mark.parametrize("mode", Mode)
def test_the_ledger_has_what_the_generator_says(chain: Chain, server: Server, mode: Mode, mix: Sent) -> None:
    planned = load(chain, server, mode=mode, mix=mix, message_ops=30, in_flight=20)

    tally = send(planned, operations=1990)

    assert tally.operations == 1990
    assert tally.applied + tally.refused == asyncio.run(chain.operation_count())
    assert (tally.refused > 0) is (mix is Sent.REALISTIC)
    assert (tally.repeated > 0) is (mix is Sent.REALISTIC)
    assert tally.messages == tally.latencies.count == (1990 if mode is Mode.UNARY else 67)


def test_processes_share_the_load_and_the_figures_are_written(
    chain: Chain, server: Server, tmp_path: Path
) -> None:
    figures_file, distribution_file = tmp_path / "report.json", tmp_path / "hdr"
    files = ("--json", str(figures_file), "--hdr", str(distribution_file))

    done = generate(*command(chain, server, "--operations", "501", "--processes", "2", *files))

    assert done.returncode == 0, done.stderr
    assert "operations/s" in done.stdout
    figures = json.loads(figures_file.read_text())
    assert figures["operations"] == {"applied": 501, "refused": 0, "repeated": 0, "failed": 0}
    assert (figures["messages"], figures["failures"]) == (501, {})
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["max"]
    assert figures["client_us"] > 0
    assert chain.api_key not in figures_file.read_text()
    assert "TotalCount     =      501" in distribution_file.read_text()


@pytest.mark.parametrize("mode", Mode)
def test_connections_may_age_while_the_load_goes_on(chain: Chain, server: Server, mode: Mode) -> None:
    tally = send(load(chain, server, mode=mode, message_ops=20, in_flight=4), seconds=4)

    assert tally.applied == asyncio.run(chain.operation_count())


@pytest.mark.parametrize("mode", [Mode.BATCH, Mode.STREAM])
def test_messages_may_be_larger_than_the_windows(chain: Chain, server: Server, mode: Mode) -> None:
    """With line items a thousand operations take more than the 64 KiB that gRPC's servers allow at first."""
    large = load(chain, server, mode=mode, mix=Sent.REALISTIC, message_ops=1000, connections=1, in_flight=8)

    assert send(large, operations=4000).operations == 4000


def test_operations_arrive_by_a_schedule(chain: Chain, server: Server) -> None:
    tally = send(load(chain, server, rate=200), seconds=2)

    # By chance 400; one run in a billion is outside of these bounds.
    assert 280 < tally.applied < 525


def test_a_call_that_is_due_while_the_server_stands_still_has_waited_since_then(
    chain: Chain, server: Server
) -> None:
    pids = server.worker_pids()

    def stand_still() -> None:
        for name in ("SIGSTOP", "SIGCONT"):
            time.sleep(1.5)
            for pid in pids:
                os.kill(pid, signal.Signals[name])

    thread = threading.Thread(target=stand_still)
    thread.start()
    tally = send(load(chain, server, rate=200, in_flight=2), seconds=3)
    thread.join()

    # Of the calls due in 1.5 seconds; without a schedule there would be two: those under way.
    assert tally.latencies.at_ms(90) > 500


def test_a_session_is_prepared_and_run_again(chain: Chain, server: Server) -> None:
    async def run_twice(load: Load) -> int:
        async with load.open() as session:
            for _ in range(2):
                session.prepare(300)
                assert await session.run() == {}
                await asyncio.sleep(3)  # the connections come of age meanwhile
        return session.tally.applied

    assert asyncio.run(run_twice(load(chain, server, in_flight=8, connections=2))) == 300
    assert asyncio.run(chain.operation_count()) == 600


@pytest.mark.parametrize(
    "change, line",
    [
        (("--api-key", "lp_wrong"), "of member 500: UNAUTHENTICATED: The API key"),
        (("--target", "127.0.0.1:1"), "127.0.0.1:1: Connection refused"),
        (
            ("--target", "https://127.0.0.1:1"),
            "https://127.0.0.1:1: give HOST:PORT alone: the load generator",
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    chain: Chain, server: Server, change: tuple[str, ...], line: str
) -> None:
    done = generate(*command(chain, server, *change))

    assert done.returncode == 2
    assert done.stderr.startswith("load: ")
    assert done.stderr.count("\n") == 1
    assert line in done.stderr


@pytest.mark.parametrize(
    "change, line",
    [
        ({"members": 501}, "asked for the balance of member 501: NOT_FOUND: "),
        ({"target": "nowhere"}, "nowhere is no HOST:PORT"),
    ],
)
def test_access_is_checked_before(chain: Chain, server: Server, change: dict[str, Any], line: str) -> None:
    with pytest.raises(AccessError, match=line):
        check_access(replace(load(chain, server), **change))


def test_a_peer_that_speaks_something_else_is_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            pytest.raises(UnreachableError, match="does not speak HTTP/2"),
            Load(target, "key", 1, timeout_seconds=0.5).connect(),
        ):
            pass


@pytest.mark.parametrize("mode", [Mode.UNARY, Mode.STREAM])
def test_a_server_that_is_killed_is_counted_as_failures(database: str, tmp_path: Path, mode: Mode) -> None:
    chain = asyncio.run(new_members(database))
    file = tmp_path / "report.json"
    with started(database) as server:
        arguments = ("--operations", "1000000", "--mode", mode, "--json", str(file))
        with subprocess.Popen(
            command(chain, server, *arguments),
            cwd=REPOSITORY,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            while asyncio.run(chain.operation_count()) < 100:
                assert process.poll() is None
            server.kill()
            output, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "failed: UNAVAILABLE: connection lost: " in output
    figures = json.loads(file.read_text())
    assert sum(figures["operations"].values()) == 1_000_000
    # What was under way may be in the ledger or not.
    assert figures["operations"]["applied"] <= asyncio.run(chain.operation_count())
    assert any(reason.startswith("never sent: ") for reason in figures["failures"])


def test_an_answer_that_must_not_be_is_a_failure(chain: Chain, server: Server) -> None:
    async def close(member_id: int) -> None:
        await chain.query("DELETE FROM account WHERE chain_id = $1 AND member_id = $2", member_id)

    asyncio.run(close(1))

    with load(chain, server, zipf_exponent=3.0).connect() as session:
        tally = session.send(operations=500)

    assert tally.failures.keys() == {"MEMBER_NOT_FOUND"}
    assert tally.operations == 500
