"""The load generator against a real server: it checks every answer, counts what it should, and ends."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load.session import Load, Mode, Sent
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


def command(chain: Chain, address: str, *arguments: str) -> list[str]:
    given = ("--target", address, "--api-key", chain.api_key, "--members", str(MEMBERS))
    return [sys.executable, "-m", "benchmarks.load", *given, *arguments]


def generate(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def report(chain: Chain, server: Server, directory: Path, *arguments: str) -> dict[str, Any]:
    """The figures of a load that went well."""
    file = directory / "report.json"
    done = generate(*command(chain, server.address, "--json", str(file), *arguments))
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(file.read_text())
    assert figures["failures"] == {}
    return figures


@pytest.mark.parametrize("mix", Sent)
@pytest.mark.parametrize("mode", Mode)
def test_the_ledger_has_what_the_generator_says(
    chain: Chain, server: Server, tmp_path: Path, mode: Mode, mix: Sent
) -> None:
    arguments = ("--mode", mode, "--mix", mix, "--operations", "1990", "--message-ops", "30")

    figures = report(chain, server, tmp_path, *arguments, "--processes", "2", "--in-flight", "20")

    counts = figures["operations"]
    assert sum(counts.values()) == 1990
    assert counts["applied"] + counts["refused"] == asyncio.run(chain.operation_count())
    if mix is Sent.REALISTIC:
        assert counts["refused"] > 0
        assert counts["repeated"] > 0
    assert figures["messages"] == 1990 if mode is Mode.UNARY else 67
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["max"]
    assert figures["client_us"] > 0


@pytest.mark.parametrize("mode", Mode)
def test_connections_may_age_while_the_load_goes_on(
    chain: Chain, server: Server, tmp_path: Path, mode: Mode
) -> None:
    figures = report(chain, server, tmp_path, "--mode", mode, "--seconds", "4", "--in-flight", "4")

    assert figures["operations"]["applied"] == asyncio.run(chain.operation_count())


@pytest.mark.parametrize("mode", [Mode.BATCH, Mode.STREAM])
def test_messages_may_be_larger_than_the_windows(
    chain: Chain, server: Server, tmp_path: Path, mode: Mode
) -> None:
    """With line items a thousand operations take more than the 64 KiB that gRPC's servers allow at first."""
    large = ("--message-ops", "1000", "--operations", "6000", "--connections", "1")

    figures = report(chain, server, tmp_path, "--mode", mode, "--mix", "realistic", *large)

    assert sum(figures["operations"].values()) == 6000


def test_operations_arrive_by_a_schedule(chain: Chain, server: Server, tmp_path: Path) -> None:
    distribution = tmp_path / "hdr"

    figures = report(chain, server, tmp_path, "--rate", "200", "--seconds", "2", "--hdr", str(distribution))

    # By chance 400; in a billion runs, one lies outside of these bounds.
    assert 280 < figures["operations"]["applied"] < 525
    assert "Percentile" in distribution.read_text()


def test_a_session_is_prepared_and_run_again(chain: Chain, server: Server) -> None:
    async def run_twice(load: Load) -> int:
        async with load.open() as session:
            for _ in range(2):
                session.prepare(300)
                assert await session.run() == {}
                await asyncio.sleep(3)  # the connections come of age meanwhile
        return session.tally.applied

    load = Load(server.address, chain.api_key, MEMBERS, in_flight=8, connections=2)

    assert asyncio.run(run_twice(load)) == 300
    assert asyncio.run(chain.operation_count()) == 600


@pytest.mark.parametrize(
    "change, line",
    [
        (("--api-key", "lp_wrong"), "UNAUTHENTICATED: The API key"),
        (("--members", "501"), "the balance of member 501: NOT_FOUND"),
        (("--target", "127.0.0.1:1"), "127.0.0.1:1: Connection refused"),
        (("--target", "nowhere"), "nowhere is no HOST:PORT"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    chain: Chain, server: Server, change: tuple[str, ...], line: str
) -> None:
    done = generate(*command(chain, server.address, *change))

    assert done.returncode == 2
    assert done.stderr.startswith("load: ")
    assert done.stderr.count("\n") == 1
    assert line in done.stderr


@pytest.mark.parametrize("mode", Mode)
def test_a_server_that_is_killed_is_counted_as_failures(database: str, tmp_path: Path, mode: Mode) -> None:
    chain = asyncio.run(new_members(database))
    file = tmp_path / "report.json"
    with started(database) as server:
        arguments = ("--operations", "1000000", "--mode", mode, "--json", str(file))
        with subprocess.Popen(
            command(chain, server.address, *arguments),
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

    done = generate(*command(chain, server.address, "--operations", "500", "--zipf", "3"))

    assert done.returncode == 1
    assert "failed: MEMBER_NOT_FOUND" in done.stdout
