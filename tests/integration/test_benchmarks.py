"""A small run of each benchmark: it works, every operation is applied, and the figures are there."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from benchmarks.compare.own_chain import OwnChain
from benchmarks.compare.row_at_a_time import RowAtATime
from benchmarks.compare.server_process import serving
from benchmarks.cpu import tree_seconds
from benchmarks.members import Members
from benchmarks.requests import Requests
from benchmarks.service import Service, own_service, verify
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub
from storage.directory import create_chain
from storage.members import Member, add_members
from storage.owner import owner_connection

ROOT = Path(__file__).parents[2]
MEMBERS = 1_000
FIGURES = {"operations_per_second", "server_us", "postgres_us", "client_us", "cpu_to_floor"}
BASELINES = {"floor", "pgbench -N", "empty handler", "row at a time"}
SERVICES = {
    *("unary", "unary, native", "unary, one member", "unary, 200 chains"),
    *("batch of 500", "batch of 500, one member", "stream, 100 a message"),
}
ONLY_IN_FULL = {"unary, 1 % traced", "unary, rich program", "checkout, 30 lines, rich"}
BESIDE = {
    *("one call at a time", "one call at a time, native", "half of the peak", "half of the peak, native"),
    *("overload, batches", "overload, unary", "overload, native", "growth"),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with own_service("load") as own:
        asyncio.run(enrol(own))
        yield own


async def enrol(own: Service) -> None:
    async with owner_connection(own.dsn) as connection:
        await add_members(connection, own.chain_id, map(Member, range(1, MEMBERS + 1)))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def locust(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("locust", "-f", "benchmarks/locustfile.py", "--headless", "--json", *arguments)


@pytest.fixture(scope="module")
def growth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ledgers so small that they grow within seconds."""
    folder = tmp_path_factory.mktemp("growth")
    sizes = ("--size", "24000/2000", "--size", "1200/100", "--directory", str(folder))
    file = folder / "growth.json"
    done = run("benchmarks.growth", *sizes, "--rounds", "2", "--seconds", "0.1", "--json", str(file))
    assert done.returncode == 0, done.stderr
    return file


def test_ledgers_of_several_sizes_are_compared_with_the_smallest(growth_file: Path) -> None:
    smallest, largest = json.loads(growth_file.read_text())["points"]

    assert (smallest["rows"], largest["rows"], largest["members"]) == (1_200, 24_000, 2_000)
    assert smallest["figures"]["throughput_to_smallest"]["rounds"] == [1, 1]
    assert largest["figures"]["cpu_to_smallest"]["low"] > 0


@pytest.mark.timeout(900)
def test_the_comparison_measures_every_subject(tmp_path: Path, growth_file: Path) -> None:
    file = tmp_path / "report.json"
    small = ("--members", "1000", "--rounds", "1", "--seconds", "0.1", "--overload-times", "1")

    done = run("benchmarks.compare", *small, "--growth", str(growth_file), "--json", str(file))

    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["verified"] is True
    assert (report["postgres"]["fsync"], report["postgres"]["synchronous_commit"]) == ("on", "on")
    figures = report["figures"]
    assert set(figures) == BASELINES | SERVICES | ONLY_IN_FULL | BESIDE
    for subject in BASELINES | SERVICES | ONLY_IN_FULL:
        measured = figures[subject]
        assert measured.keys() >= FIGURES
        assert len(measured["operations_per_second"]["rounds"]) == 1
        assert measured["operations_per_second"]["low"] > 0
    assert figures["floor"]["throughput_to_floor"]["median"] == 1
    for subject in ONLY_IN_FULL:
        assert figures[subject]["server_to_unary"]["low"] > 0
    costs = report["tracing_us"]
    assert 0 < costs["off_call_us"] < costs["unsampled_call_us"] < costs["traced_us"]
    assert figures["batch of 500"]["batch_ops"]["median"] > figures["unary"]["batch_ops"]["low"] > 0
    for subject in ("half of the peak", "half of the peak, native"):
        assert figures[subject]["failed_calls"]["high"] == 0
    for subject in ("overload, batches", "overload, unary", "overload, native"):
        assert figures[subject]["resident_mib"]["low"] > 10
    for sweep in report["sweeps"].values():
        assert list(sweep) == ["1", "32", "128", "512", "1024"]
    assert [target["name"] for target in report["targets"] if target["is_met"] is None] == []


def test_ledgers_that_do_not_fit_on_the_disk_are_refused(tmp_path: Path) -> None:
    done = run("benchmarks.growth", "--size", "900000000000/1000", "--directory", str(tmp_path))

    assert done.returncode == 2
    assert "GB free and this needs" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_sizing_measures_receipts_with_lines_and_without() -> None:
    done = run("benchmarks.sizing", "--members", "1000", "--operations", "1000", "--json")

    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)
    rows = {each["load"]: each["row_bytes"] for each in sizes["runs"]}
    assert rows["unary, 20 lines, later"] > rows["unary, later"] + 20 * 20
    assert sizes["bytes_per_member"].keys() == {"account", "account, after the runs", "card"}


async def test_row_at_a_time_keeps_the_promise_to_repeats(service: Service) -> None:
    async with owner_connection(service.dsn) as connection:
        chain_id = await create_chain(connection, "row")
        await add_members(connection, chain_id, [Member(1)])
    request = Requests(Members(1), with_lines=False).accrue()

    with serving(RowAtATime(OwnChain(service.dsn, chain_id, 1))) as server:
        async with grpc.aio.insecure_channel(server.target) as channel:
            accrue = TransactionServiceStub(channel).Accrue
            first, again = await accrue(request), await accrue(request)
            request.receipt.total_minor += 100
            with pytest.raises(grpc.aio.AioRpcError, match="IDEMPOTENCY_KEY_REUSED"):
                await accrue(request)

    assert first == again
    assert first.balance_points == first.earned_points
    assert verify(service.dsn)


@pytest.mark.parametrize(
    "user, names",
    [
        ("UnaryUser", {"Accrue", "Redeem"}),
        ("BatchUser", {"ProcessBatch"}),
        ("StreamUser", {"ProcessStream"}),
    ],
)
def test_tills_meet_no_failure(service: Service, user: str, names: set[str]) -> None:
    done = locust(
        *("--host", service.target, "--api-key", service.api_key, "--members", str(MEMBERS)),
        *("--message-ops", "20", "--users", "2", "--spawn-rate", "2", "--run-time", "3s", user),
    )

    assert done.returncode == 0, done.stderr
    entries: list[dict[str, Any]] = json.loads(done.stdout)
    assert names <= {entry["name"] for entry in entries}
    assert sum(entry["num_failures"] for entry in entries) == 0
    assert all(entry["num_requests"] > 0 for entry in entries)


def test_an_answer_that_must_not_be_is_a_failure(service: Service) -> None:
    done = locust(
        *("--host", service.target, "--api-key", service.api_key, "--members", "1000000", "--zipf", "0"),
        *("--users", "1", "--run-time", "1s", "UnaryUser"),
    )

    assert done.returncode == 1
    assert "MEMBER_NOT_FOUND" in done.stderr


@pytest.mark.parametrize(
    "arguments, line",
    [
        (("--api-key", "key"), "locust: no address"),
        (("--host", "127.0.0.1:1"), "locust: no API key"),
    ],
)
def test_locust_says_what_is_missing(arguments: tuple[str, ...], line: str) -> None:
    done = locust(*arguments, "--run-time", "1s")

    assert done.returncode != 0
    assert line in done.stderr
    assert "Traceback" not in done.stderr


def test_members_are_drawn_by_zipfs_law_or_alike() -> None:
    everyone = set(range(1, 11))

    by_zipf, alike = Members(10, 3.0), Members(10)
    draws = [by_zipf.draw() for _ in range(1_000)]

    # The busiest of ten has 84 % of the draws at this exponent.
    assert max(map(draws.count, set(draws))) > 700
    assert set(draws) <= everyone
    assert {alike.draw() for _ in range(1_000)} == everyone


def test_the_cpu_time_of_a_child_that_has_ended_stays_in_the_account() -> None:
    work = "sum(range(20_000_000))"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{work}']); print(); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        seconds = tree_seconds(process.pid)
        process.communicate(b"\n")

    assert seconds > 0.15
