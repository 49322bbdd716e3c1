"""A small run of each benchmark: it works, every operation is applied, and the figures are there."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cpu import tree_seconds
from benchmarks.members import Members
from benchmarks.service import Service, own_service
from storage.members import Member, add_members
from storage.owner import owner_connection

ROOT = Path(__file__).parents[2]
MEMBERS = 1_000
FIGURES = {"operations_per_second", "server_us", "postgres_us", "client_us", "cpu_to_floor"}


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


def test_the_comparison_measures_every_subject(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    options = ("--members", "1000", "--rounds", "2", "--seconds", "0.1", "--json", str(file))

    done = run("benchmarks.compare", *options)

    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["verified"] is True
    assert (report["postgres"]["fsync"], report["postgres"]["synchronous_commit"]) == ("on", "on")
    figures = report["figures"]
    assert set(figures) == {
        *("floor", "empty handler", "unary", "unary, 1 % traced", "unary, rich program"),
        *("checkout of 30 lines, rich", "batch of 500", "stream, 100 a message"),
    }
    for measured in figures.values():
        assert measured.keys() >= FIGURES
        assert len(measured["operations_per_second"]["rounds"]) == 2
        assert measured["operations_per_second"]["low"] > 0
    assert figures["floor"]["throughput_to_floor"]["median"] == 1
    for subject in ("unary, 1 % traced", "unary, rich program", "checkout of 30 lines, rich"):
        assert figures[subject]["server_to_unary"]["low"] > 0
    costs = report["tracing_us"]
    assert 0 < costs["off_call_us"] < costs["unsampled_call_us"] < costs["traced_us"]
    assert figures["batch of 500"]["batch_ops"]["median"] > figures["unary"]["batch_ops"]["low"] > 0


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
