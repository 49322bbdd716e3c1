"""The command line: what it prints, what it ends with, and that no error is a traceback."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from processor.cli import main
from processor.domain.api_key import parse_api_key
from processor.domain.command import Command
from processor.domain.decision import Decision
from processor.domain.operation import Operation, seal
from processor.domain.outcomes import Outcome
from processor.domain.standing import Standing
from processor.rpc.encoder import ProtobufEncoder
from storage.pool import connect
from tests.chains import query
from tests.command import Ended, run_command
from tests.history import DAY_US, accrual, decided, redemption, write
from tests.postgres import Server, run

EXAMPLE = Path(__file__).parents[2] / "docs" / "program.yaml"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


Cli = Callable[..., Ended]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process; without a database unless the test names one."""
    for name in os.environ:
        if name.startswith("LOYALTY_"):
            monkeypatch.delenv(name)

    return partial(run_command, capsys)


@pytest.fixture
def demo(cli: Cli, database: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The same on a fresh database with the chain `demo`."""
    monkeypatch.setenv("LOYALTY_DSN", database)
    assert cli("chain", "create", "demo").status == 0
    return cli


def assert_one_line(ended: Ended, status: int, text: str) -> None:
    assert ended.status == status
    assert ended.out == ""
    assert re.search(text, ended.err)
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err


# --- chains, keys, programs ------------------------------------------------------------------------


def test_a_chain_is_created_and_listed(demo: Cli) -> None:
    created = demo(
        "chain", "create", "shops", "--window-back-days", 90, "--window-ahead-minutes", 0, "--json"
    )
    assert created.json == {"chain_id": 2, "name": "shops"}
    assert demo("chain", "list", "--json").json == [
        {"chain_id": 1, "name": "demo", "window_back_seconds": 45 * 86_400, "window_ahead_seconds": 600},
        {"chain_id": 2, "name": "shops", "window_back_seconds": 90 * 86_400, "window_ahead_seconds": 0},
    ]
    assert re.search(r"2 +shops +90 +0", demo("chain", "list").out)


def test_a_chain_is_created_once_and_named_plainly(demo: Cli) -> None:
    assert_one_line(demo("chain", "create", "demo"), 1, "exists already: choose another name")
    assert_one_line(demo("chain", "create", "Bad Name"), 2, "'Bad Name' must be .* beginning with a hyphen$")
    assert_one_line(demo("chain", "create", "a\udcff"), 1, "surrogates not allowed")


def test_a_key_is_created_listed_and_revoked(demo: Cli) -> None:
    created = demo("key", "create", "demo", "--label", "tills")
    parsed = parse_api_key(created.out.strip())
    assert parsed is not None
    key_id, secret = parsed
    assert "nobody can show it again" in created.err
    [listed] = demo("key", "list", "demo", "--json").json
    assert (listed["key_id"], listed["label"], listed["revoked_at"]) == (key_id, "tills", None)
    assert listed["role"] == "till"
    assert secret not in demo("key", "list", "demo").out

    assert demo("key", "revoke", created.out.strip(), "--json").json == {"key_id": key_id, "revoked": True}
    assert demo("key", "list", "demo", "--json").json[0]["revoked_at"]
    assert_one_line(demo("key", "revoke", "nope"), 1, "no API key with the id 'nope'")
    assert_one_line(demo("key", "create", "dmeo"), 1, "no chain named 'dmeo'")


def test_a_key_of_an_operator(demo: Cli) -> None:
    assert demo("key", "create", "demo", "--role", "operator", "--json").json["role"] == "operator"
    assert " operator " in demo("key", "list", "demo").out
    assert_one_line(demo("key", "create", "demo", "--role", "king"), 2, "'king' is not one of")


def test_what_program_show_prints_program_set_takes(demo: Cli, tmp_path: Path) -> None:
    shown = demo("program", "show", "demo")
    assert shown.out.startswith("# chain demo, version 1 of 1\nearning:\n  points_per_step: 1\n")
    file = tmp_path / "program.yaml"
    file.write_text(shown.out.replace("points_per_step: 1", "points_per_step: 7"))
    assert demo("program", "set", "demo", file, "--json").json["version"] == 2
    assert demo("program", "show", "demo", "--json").json["document"]["earning"]["points_per_step"] == 7
    old = demo("program", "show", "demo", "--version", 1, "--json").json
    assert old["document"]["earning"]["points_per_step"] == 1
    assert_one_line(demo("program", "show", "demo", "--version", 3), 1, "no version 3 .* name 1 to 2")


def test_the_example_of_a_program_is_taken(demo: Cli) -> None:
    assert "Version 2 of the program of demo is in force from" in demo("program", "set", "demo", EXAMPLE).out


def test_the_schema_of_a_program_is_json(cli: Cli) -> None:
    schema = cli("program", "schema").json
    assert "earning" in schema["properties"]
    assert schema["required"] == ["earning"]


def test_a_program_for_later_is_told_of_when_another_is_set(demo: Cli, tmp_path: Path) -> None:
    file = tmp_path / "program.yaml"
    file.write_text(f"{EXAMPLE.read_text()}\neffective_from: 2127-01-01T00:00:00Z\n")
    assert "is in force from 2127-01-01T00:00:00Z.\n" in demo("program", "set", "demo", file).out
    assert demo("program", "set", "demo", EXAMPLE).out.endswith(
        " until version 2 is, from 2127-01-01T00:00:00Z.\n"
    )


def test_simulate_shows_another_program_beside_the_present_one(
    demo: Cli, database: str, tmp_path: Path
) -> None:
    now_us = time.time_ns() // 1_000
    commands = [
        accrual("a", 1, occurred_at_us=now_us - DAY_US, total_minor=30_000),
        redemption("b", 1, 2, occurred_at_us=now_us - DAY_US),
        accrual("c", 2, occurred_at_us=now_us - DAY_US, total_minor=10_000),
        accrual("old", 2, occurred_at_us=now_us - 20 * DAY_US),
    ]
    run(_write(database, commands))
    rows = run(_rows(database))
    file = tmp_path / "program.yaml"
    file.write_text(EXAMPLE.read_text().replace("points_per_step: 1 ", "points_per_step: 2 "))
    found = demo("program", "simulate", "demo", file, "--days", 10, "--json").json
    assert found["all"]["members"] == 2
    assert found["all"]["present"]["receipts"] == 3
    assert found["all"]["present"]["earned_points"] == 4
    assert found["all"]["proposed"]["earned_points"] == 8
    assert found["all"]["proposed"]["redeemed_points"] == 2
    assert found["winners"][0] == {
        "difference_minor": 300, "member_id": 1, "present_minor": 300, "proposed_minor": 600
    }  # fmt: skip
    shown = demo("program", "simulate", "demo", file, "--days", 10).out
    assert re.search(r"^2 members with operations in the last 10 days\.$", shown, re.MULTILINE)
    assert re.search(r"^earned_points +4 +8 +\+4 *$", shown, re.MULTILINE)
    assert re.search(r"^members who gain most +present +new +difference *$", shown, re.MULTILINE)
    assert run(_rows(database)) == rows
    assert demo("program", "show", "demo", "--json").json["version"] == 1


async def _write(dsn: str, commands: list[Command]) -> None:
    connection = await connect(dsn)
    try:
        await write(connection, decided(1, commands))
    finally:
        await connection.close()


async def _rows(dsn: str) -> list[object]:
    """All that a simulation could have written."""
    return [
        await query(dsn, f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608 - a name of ours
        for table in ("operation", "account", "program")
    ]


def test_a_wrong_program_is_told_line_by_line_and_changes_nothing(demo: Cli, tmp_path: Path) -> None:
    file = tmp_path / "program.yaml"
    file.write_text(EXAMPLE.read_text().replace("10000", "abc").replace("rounding: down", "round: down"))
    ended = demo("program", "set", "demo", file)
    assert ended.status == 2
    assert ended.err.splitlines() == [
        f"{file}:5:1: earning.rounding: is missing: must be down, half_up or half_even",
        f'{file}:7:15: earning.step_minor: must be a whole number from 1 to 100,000,000,000, not "abc"',
        f"{file}:8:3: earning.round: is unknown: did you mean rounding?",
    ]
    assert demo("program", "show", "demo", "--json").json["version"] == 1


def test_a_file_that_cannot_be_read_is_told(demo: Cli, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for command in (("program", "set"), ("member", "import")):
        assert_one_line(demo(*command, "demo", "/nowhere"), 2, "^/nowhere: cannot be read: No such file")
        assert_one_line(demo(*command, "demo", tmp_path), 2, "cannot be read: Is a directory")
        assert_one_line(demo(*command, "demo", binary), 2, "binary: is not UTF-8 text")


def test_what_people_write_is_shown_as_it_is(demo: Cli, tmp_path: Path) -> None:
    demo("key", "create", "demo", "--label", "[/b] :100: [red]x")
    assert "[/b] :100: [red]x" in demo("key", "list", "demo").out
    file = tmp_path / "members.csv"
    file.write_text("member_id,card\n" + "\n" * 98 + "1\n")
    assert_one_line(demo("member", "import", "demo", file), 2, ":100: must have 2 fields")


# --- members ---------------------------------------------------------------------------------------


def test_members_are_added_and_have_a_balance(demo: Cli, tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    file.write_text("member_id,card\n1,card-1\n1,card-1b\n\n2,\n")
    assert demo("member", "import", "demo", file, "--json").json == {
        "members": 2,
        "cards": 2,
        "taken_cards": 0,
    }
    assert "Added 1 members and 1 cards" in demo("member", "add", "demo", 3, "--card", "card-3").out
    expected = {"member_id": 1, "balance_points": 0, "member_sequence": 0}
    assert demo("balance", "demo", "--card", "card-1b", "--json").json == expected
    assert demo("balance", "demo", "--member-id", 1, "--json").json == expected
    assert_one_line(demo("balance", "demo", "--member-id", 4), 1, "no member with id 4")
    assert_one_line(demo("balance", "demo", "--card", "x"), 1, "no member with card x")
    assert_one_line(demo("balance", "demo"), 2, "by --member-id or by --card")
    assert_one_line(demo("balance", "demo", "--card", "\x1b[31m"), 2, r"--card must be .* not '\\x1b\[31m'")


def test_a_wrong_file_of_members_is_told_line_by_line_and_changes_nothing(demo: Cli, tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    long = "c" * 65
    file.write_text(f"member_id,card\n1,a\n2,a\nx,b\n3\n0,\n4,{long}\n1,a\n99999999999999999999,\n")
    ended = demo("member", "import", "demo", file)
    assert ended.status == 2
    assert ended.err.splitlines() == [
        f"{file}:3: card: a belongs to member 1 further up",
        f"{file}:4: member_id: must be a whole number from 1 to 9223372036854775807, not 'x'",
        f"{file}:5: must have 2 fields, not 1",
        f"{file}:6: member_id: must be a whole number from 1 to 9223372036854775807, not '0'",
        f"{file}:7: card: must be at most 64 printable characters, not '{long}'",
        f"{file}:9: member_id: must be a whole number from 1 to 9223372036854775807, not '{'9' * 20}'",
    ]
    assert demo("balance", "demo", "--member-id", 1).status == 1


def test_a_long_list_of_problems_is_cut(demo: Cli, tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    file.write_text("member_id,card\n" + "x,y\n" * 1_000)
    lines = demo("member", "import", "demo", file).err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == f"{file}: and 980 more problems"


@pytest.mark.parametrize("content", ["", "1,a\n", "member_id;card\n1;a\n"])
def test_the_header_is_required(demo: Cli, tmp_path: Path, content: str) -> None:
    file = tmp_path / "members.csv"
    file.write_text(content)
    assert_one_line(demo("member", "import", "demo", file), 2, "1: must be member_id,card, the header, not")


def test_a_member_is_shown_closed_and_put_into_segments(demo: Cli, tmp_path: Path) -> None:
    demo("member", "add", "demo", 1, "--card", "card-1")
    put = demo("member", "segments", "demo", "--member-id", 1, "--segment", "vip", "--segment", "staff")
    assert "1 of 1 members are in other segments" in put.out
    assert demo("member", "close", "demo", 1, "--json").json == {"member_id": 1, "status": "closed"}
    assert demo("member", "show", "demo", 1, "--json").json == {
        "member_id": 1,
        "status": "closed",
        "balance_points": 0,
        "available_points": 0,
        "held_points": 0,
        "pending_points": 0,
        "segments": ["staff", "vip"],
        "cards": [{"card": "card-1", "member_id": 1, "status": "open"}],
    }
    assert demo("member", "reopen", "demo", 1).out == "Member 1 is open.\n"
    assert demo("member", "segments", "demo", "--member-id", 1, "--none").status == 0
    assert demo("member", "show", "demo", 1, "--json").json["segments"] == []
    assert_one_line(demo("member", "show", "demo", 2), 1, "there is no member 2")
    assert_one_line(demo("member", "close", "demo", 2), 1, "there is no member 2")


def test_members_of_a_file_are_put_into_segments(demo: Cli, tmp_path: Path) -> None:
    file = tmp_path / "segments.csv"
    demo("member", "add", "demo", 1)
    demo("member", "add", "demo", 2)
    file.write_text("member_id,segment\n1,vip\n2,\n1,staff\n")
    put = demo("member", "segments", "demo", "--file", file, "--json")
    assert put.json == {"members": 2, "changed": 1}
    file.write_text("member_id,segment\n1,vip\n3,vip\n")
    assert_one_line(demo("member", "segments", "demo", "--file", file), 1, "there is no member 3")
    file.write_text('member_id,segment\n1,"a,b"\n')
    assert_one_line(demo("member", "segments", "demo", "--file", file), 2, ":2: segment: .* comma, not 'a,b'")
    file.write_text("member_id,card\n")
    assert_one_line(demo("member", "segments", "demo", "--file", file), 2, "must be member_id,segment")


@pytest.mark.parametrize(
    "arguments", ["", "--member-id 1", "--member-id 1 --none --segment a", "--member-id 1 --file f"]
)
def test_segments_must_be_named(demo: Cli, arguments: str) -> None:
    assert_one_line(
        demo("member", "segments", "demo", *arguments.split()), 2, "name the (member|segments) by"
    )


def test_a_member_is_enrolled(demo: Cli) -> None:
    member_id = demo("member", "enrol", "demo", "card-1", "--json").json["member_id"]
    assert demo("balance", "demo", "--card", "card-1", "--json").json["member_id"] == member_id
    assert_one_line(demo("member", "enrol", "demo", "card-1"), 1, "belongs to a member already")


def test_cards_are_added_blocked_and_replaced(demo: Cli) -> None:
    demo("member", "add", "demo", 1, "--card", "card-1")
    phone = {"card": "+491701234567", "member_id": 1, "status": "open"}
    assert demo("card", "add", "demo", 1, "+491701234567", "--json").json == phone
    assert demo("card", "block", "demo", "card-1", "--json").json["status"] == "blocked"
    assert "card unblock demo card-1" in demo("card", "block", "demo", "card-1").out
    assert demo("card", "unblock", "demo", "card-1").out == "Card card-1 can be used.\n"
    replaced = demo("card", "replace", "demo", "card-1", "new-1")
    assert replaced.out == "Card new-1 of member 1 replaces card-1.\n"
    cards = demo("member", "show", "demo", 1, "--json").json["cards"]
    assert [card["status"] for card in cards] == ["open", "replaced", "open"]
    assert_one_line(demo("card", "block", "demo", "card-1"), 1, "card-1 was replaced: it stays so")
    assert_one_line(demo("card", "add", "demo", 1, ""), 2, "CARD must be 1 to 64")
    assert_one_line(demo("card", "replace", "demo", "new-1", "x" * 65), 2, "NEW_CARD must be 1 to 64")


# --- the database ----------------------------------------------------------------------------------


def test_migrate_says_what_it_did(cli: Cli, empty_database: str) -> None:
    dsn = ("--dsn", empty_database)
    assert_one_line(cli("chain", "list", *dsn), 1, "run 'loyalty-processor migrate' first")
    assert cli("migrate", "--json", *dsn).json["applied"][0] == "0001_roles"
    assert cli("migrate", *dsn).out == "The database is up to date.\n"
    assert cli("chain", "list", "--json", *dsn).json == []


def test_only_a_citus_database_is_distributed(cli: Cli, database: str) -> None:
    assert_one_line(cli("migrate", "--citus", "--dsn", database), 1, "the database has no Citus: run CREATE")


def test_partitions_are_made_and_listed(demo: Cli) -> None:
    assert demo("partitions", "ensure", "--ahead", 2, "--json").json["runway_seconds"] > 2 * 28 * 86_400
    listed = demo("partitions", "list", "--json").json
    assert len(listed) == 3
    assert listed[0]["to"] == listed[1]["from"]
    assert "days" in demo("partitions", "ensure").out
    assert_one_line(demo("partitions", "detach", listed[0]["name"]), 1, "within a chain's window")
    assert_one_line(demo("partitions", "detach", "nope"), 1, "no partition 'nope'")


def reply_to(operation: Operation) -> bytes:
    """What a till got for it."""
    standing = Standing(operation.balance_points)
    return ProtobufEncoder().applied(operation, Decision(Outcome.APPLIED), standing)


async def write_january(dsn: str) -> None:
    """In each of the chains 1 and 2 the operation `shared` of member 1, and one of another member."""
    connection = await connect(dsn)
    for chain_id in (1, 2):
        drafts = decided(chain_id, [accrual("shared", 1), accrual(f"only-{chain_id}", 1 + chain_id)])
        await write(connection, [seal(row, reply_to(row), b"") for row in drafts])
    await connection.close()


def test_an_old_partition_is_archived_dropped_and_read_back(demo: Cli, database: str, tmp_path: Path) -> None:
    demo("chain", "create", "shops")
    run(write_january(database))
    file, name = tmp_path / "january.parquet", "operation_20260101"
    in_the_ledger = demo("operation", "demo", "shared", "--json").json
    archive = ("partitions", "archive", name, "--to", file)
    assert_one_line(demo(*archive), 1, "is part of the ledger: take it out first")
    demo("partitions", "detach", name)
    assert_one_line(demo(*archive[:-1], tmp_path / "no" / "way"), 2, "way: cannot be used: No such file")
    assert "read back and compared; the table is still there" in demo(*archive).out
    assert_one_line(demo(*archive), 2, "january.parquet: exists already")
    again = demo(*archive[:-1], tmp_path / "again", "--drop", "--json").json
    assert (again["operations"], again["dropped"]) == (4, True)
    assert_one_line(demo("operation", "demo", "shared"), 1, "no operation")

    read = ("partitions", "read", file)
    assert demo(*read, "--key", "shared", "--chain", "demo", "--json").json == in_the_ledger
    assert "only-2" in demo(*read, "--key", "only-2").out
    assert [row["idempotency_key"] for row in demo(*read, "--member", 3, "--json").json] == ["only-2"]
    assert re.search(r"1 +only-1 +2026-01-01T00:00:00Z +APPLIED +100 +0 +100", demo(*read, "--member", 2).out)
    assert_one_line(demo(*read, "--key", "shared"), 1, "chains demo, shops all have it: name one by --chain")
    assert_one_line(demo(*read, "--key", "nope"), 1, "no operation with idempotency_key 'nope'")
    assert_one_line(demo(*read), 2, "by --key, or all of a member's by --member")
    assert_one_line(demo("partitions", "read", tmp_path / "x", "--key", "a"), 2, "x: cannot be used: No such")


def test_the_interval_of_partitions_is_shown_and_set(demo: Cli) -> None:
    assert demo("partitions", "interval").out == "New partitions hold a month each.\n"
    assert demo("partitions", "interval", "day").out == "New partitions hold a day each.\n"
    demo("partitions", "ensure", "--ahead", 1)
    assert len(demo("partitions", "list", "--json").json) == 2
    assert demo("partitions", "ensure", "--ahead", 1, "--json").json["runway_seconds"] <= 2 * 86_400
    assert demo("partitions", "interval", "--json").json == {"interval": "day"}
    assert "'day', 'week', 'month'" in demo("partitions", "interval", "year").err


def test_a_key_that_nobody_used_is_free(demo: Cli) -> None:
    assert_one_line(demo("operation", "demo", "unused"), 1, "no operation under the key 'unused'")


@pytest.mark.parametrize("key", ["", "a" * 65, "a\nb"])
def test_a_key_that_nobody_can_use_is_wrong_usage(demo: Cli, key: str) -> None:
    assert_one_line(demo("operation", "demo", key), 2, "KEY must be 1 to 64 printable characters")


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    ["chain list", "chain create x", "key list x", "program show x", "balance x --card 1", "partitions list"],
)
def test_without_postgresql_the_exit_status_is_3(cli: Cli, arguments: str) -> None:
    assert_one_line(
        cli(*arguments.split(), "--dsn", NOWHERE),
        3,
        "^loyalty-processor: PostgreSQL cannot be used: 127.0.0.1:1: Connection refused;"
        " check that --dsn or LOYALTY_DSN names it$",
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("chain list", "LOYALTY_DSN .* is not set; it must be a URL such as"),
        ("chain list --dsn nonsense", "--dsn is 'nonsense'; it must be a URL"),
        ("chain", ""),
        ("chain creat x", "No such command 'creat'"),
        ("chain create", "Missing argument 'CHAIN'"),
        ("chain create x --window-back-days much", "Invalid value for '--window-back-days'"),
        ("nothing", "No such command 'nothing'"),
        ("chain list --colour", "No such option"),
        ("config --dsn postgresql:///x --workers 0", "--workers is '0'; it must be a whole number from 1"),
        ("serve --dsn postgresql:///x --port 70000", "--port is '70000'; it must be a whole number from 0"),
        ("member add x 0", "Invalid value for 'MEMBER_ID'"),
        ("partitions ensure --ahead -1", "Invalid value for '--ahead'"),
    ],
)
def test_wrong_usage_ends_with_2(cli: Cli, arguments: str, message: str) -> None:
    ended = cli(*arguments.split())
    assert ended.status == 2
    assert re.search(message, ended.err)
    assert ended.err.count("\n") <= 1


def test_config_hides_secrets(cli: Cli) -> None:
    ended = cli("config", "--dsn", "postgresql://me:hunter2@db/loyalty", "--workers", 3)
    assert "hunter2" not in ended.out
    assert re.search(r"workers +3 +flag", ended.out)
    values = cli("config", "--dsn", "postgresql://me:hunter2@db/loyalty", "--json").json
    assert values["dsn"] == "postgresql://me:***@db/loyalty"
    assert values["batch_ops_max"] == 500


def test_config_checks_a_file_of_settings_and_shows_what_it_gives(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("LOYALTY_DSN=postgresql://me:hunter2@db/loyalty\nLOYALTY_LANES=3\n")
    shown = cli("config", "--env-file", file).out
    assert re.search(r"lanes +3 +env file", shown)
    assert "hunter2" not in shown

    file.write_text("LOYALTY_DSN postgresql://me:hunter2@db/loyalty\nLOYALTY_LANES 3\n")
    refused = cli("config", "--env-file", file)
    assert refused.status == 2
    assert f"line 2 of {file} is 'LOYALTY_LANES 3'; it must be LOYALTY_NAME=value" in refused.err
    assert "hunter2" not in refused.err


def test_the_help_tells_the_exit_statuses(cli: Cli) -> None:
    ended = cli("--help")
    assert ended.status == 0
    assert "3 PostgreSQL cannot be reached" in " ".join(ended.out.split())


def test_a_defect_is_one_line_and_a_traceback_with_debug(
    cli: Cli, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("that\nshould not be")

    monkeypatch.setattr("processor.cli.chains.print_json", fail)
    assert_one_line(
        cli("chain", "list", "--json", "--dsn", database), 4, "unexpected ZeroDivisionError: that .*--debug"
    )
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "chain", "list", "--json", "--dsn", database])


def test_the_commands_work_as_a_program(database: str) -> None:
    command = [sys.executable, "-m", "processor", "chain", "list", "--json", "--dsn"]
    done = subprocess.run([*command, database], capture_output=True, text=True, check=True)
    assert (json.loads(done.stdout), done.stderr) == ([], "")
    failed = subprocess.run([*command, NOWHERE], capture_output=True, text=True, check=False)
    assert_one_line(Ended(failed.returncode, failed.stdout, failed.stderr), 3, "PostgreSQL cannot be used")


def test_accounts_are_rebuilt(demo: Cli, database: str, postgres: Server) -> None:
    async def fill() -> None:
        connection = await connect(database)
        await write(connection, decided(1, [accrual("key-1", 1), accrual("key-2", 2)]))
        await connection.close()

    run(fill())
    with postgres.database() as other:
        rebuilt = demo("rebuild-accounts", "--to", other)
        assert rebuilt.out == "2 accounts are rebuilt from 2 operations.\n"
        assert_one_line(demo("rebuild-accounts", "--to", other), 1, "has accounts already")
    assert_one_line(demo("rebuild-accounts", "--to", "nowhere"), 2, "must be a URL")
