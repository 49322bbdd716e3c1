"""The command `adjust` against a real server: one adjustment, files, repeats, refusals, an outage."""

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from processor.cli.adjustment_file import Reason
from processor.domain.chain import Role
from processor.rpc.convert.adjustments import REASONS
from storage.directory import create_key
from storage.pool import connect
from tests.chains import Chain
from tests.command import Ended, run_command
from tests.postgres import run
from tests.server import PATIENCE_SECONDS, Server, serving

pytestmark = pytest.mark.xdist_group("server")


Adjust = Callable[..., Ended]


async def operator_key(chain: Chain) -> str:
    connection = await connect(chain.dsn)
    try:
        return await create_key(connection, chain.chain_id, "operator", Role.OPERATOR)
    finally:
        await connection.close()


@pytest.fixture
def adjust(
    server: Server, chain: Chain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Adjust:
    """Run `adjust` as an operator of `chain`."""
    monkeypatch.setenv("LOYALTY_ADDRESS", server.address)
    monkeypatch.setenv("LOYALTY_API_KEY", run(operator_key(chain)))

    return partial(run_command, capsys, "adjust")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "adjustments.csv"


def one(points: int, key: str = "ticket-1", **options: str) -> list[object]:
    member = options or {"member-id": "1"}
    named = [part for name, value in member.items() for part in (f"--{name}", value)]
    return [*named, "--points", points, "--reason", "compensation", "--key", key]


def balance(chain: Chain, member_id: int) -> int:
    statement = "SELECT balance_points FROM account WHERE chain_id = $1 AND member_id = $2"
    [[points]] = run(chain.query(statement, member_id))
    return int(points)


def test_the_reasons_are_those_of_the_contract() -> None:
    assert [reason.name for reason in Reason] == list(REASONS.values())


def test_one_adjustment_is_made_once(adjust: Adjust, chain: Chain) -> None:
    first, again = adjust(*one(200)), adjust(*one(200))
    assert (first.status, first.out) == (0, "ticket-1: applied, balance then 200\n")
    assert (again.status, again.out) == (0, "ticket-1: applied before, balance then 200\n")
    assert first.err == "1 applied.\n"
    taken = adjust(*one(-50, "ticket-2", card="card-1"), "--json")
    assert taken.json == [
        {"key": "ticket-2", "outcome": "APPLIED", "replayed": False, "balance_points": 150, "details": {}}
    ]
    assert balance(chain, 1) == 150


def test_a_refusal_is_told_and_ends_with_1(adjust: Adjust) -> None:
    for _ in range(2):
        refused = adjust(*one(-50))
        assert refused.status == 1
        details = "(available_points 0, balance_points 0, redeem_points 50)"
        assert refused.out == f"ticket-1: refused: INSUFFICIENT_POINTS {details}\n"
    assert "refused: MEMBER_NOT_FOUND" in adjust(*one(5, "ticket-2", card="nobody")).out
    assert "refused: IDEMPOTENCY_KEY_REUSED (differing_fields occurred_at,points)" in adjust(*one(6)).out


def test_a_file_of_many_is_adjusted_and_may_be_repeated(adjust: Adjust, chain: Chain, file: Path) -> None:
    lines = [f"{number % 1000 + 1},,1,survey,survey-{number}" for number in range(1_200)]
    lines[700] = ",card-701,-5,correction,survey-700"
    file.write_text("\n".join(["member_id,card,points,reason,key", *lines]))
    first = adjust(file)
    assert (first.status, first.err) == (1, "1,199 applied, 1 refused.\n")
    told = first.out.splitlines()
    assert len(told) == 1_200
    assert told[0] == f"{file}:2: applied, balance then 1"
    assert told[700].startswith(f"{file}:702: refused: INSUFFICIENT_POINTS")
    again = adjust(file)
    assert (again.status, again.err) == (1, "1,199 applied before, 1 refused.\n")
    assert (balance(chain, 1), balance(chain, 701)) == (2, 0)


def test_on_a_terminal_it_shows_how_far_it_is(adjust: Adjust, chain: Chain, file: Path) -> None:
    """What is told of each line goes where it goes without a terminal."""
    lines = [f"{number},1,survey,survey-{number}" for number in range(1, 601)]
    file.write_text("\n".join(["member_id,points,reason,key", *lines, "601,-5,survey,survey-601"]))
    terminal, theirs = pty.openpty()
    told = file.with_suffix(".told")
    command = [sys.executable, "-m", "processor", "adjust", str(file)]
    given = {**os.environ, "TERM": "xterm"}
    with (
        told.open("wb") as out,
        subprocess.Popen(command, stdin=theirs, stdout=out, stderr=theirs, env=given) as running,
    ):
        os.close(theirs)
        shown = all_of(terminal)
    assert running.returncode == 1
    assert "Adjusting" in shown
    assert "0/601" in shown
    assert "601/601" in shown
    assert shown.endswith("600 applied, 1 refused.\r\n")
    *applied, refused = told.read_text().splitlines()
    assert applied == [f"{file}:{number}: applied, balance then 1" for number in range(2, 602)]
    assert refused.startswith(f"{file}:602: refused: INSUFFICIENT_POINTS")


def all_of(terminal: int) -> str:
    """What it shows until nobody writes to it any more."""
    shown = b""
    with suppress(OSError):
        while part := os.read(terminal, 65_536):
            shown += part
    os.close(terminal)
    return shown.decode()


def test_an_outage_is_waited_out(adjust: Adjust, chain: Chain, server_dsn: str, file: Path) -> None:
    """Nobody listens when the command begins."""
    file.write_text("member_id,points,reason,key\n1,7,contest,late\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "processor", "adjust", str(file), "--address", f"127.0.0.1:{port}"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running,
        serving(server_dsn, port=port),
    ):
        out, _ = running.communicate(timeout=PATIENCE_SECONDS)
    assert (running.returncode, out) == (0, f"{file}:2: applied, balance then 7\n")


def test_a_till_may_not_adjust(adjust: Adjust, chain: Chain) -> None:
    refused = adjust(*one(5), "--api-key", chain.api_key)
    assert (refused.status, refused.out) == (1, "ticket-1: refused: CALLER_NOT_ALLOWED\n")
    assert balance(chain, 1) == 0


def test_a_wrong_key_ends_it_in_one_line(adjust: Adjust) -> None:
    ended = adjust(*one(5), "--api-key", "lp_wrong")
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "API_KEY_INVALID" in ended.err


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ([], "name a file, or the member"),
        (one(0), "--points must say how many"),
        (one(5, ""), "--key must be 1 to 64 printable characters"),
        (one(5, "system:x"), "--key must not begin with system:"),
        (["--member-id", 1, "--points", 5, "--key", "k"], "--reason must be one of compensation, survey"),
        ([*one(5), "--card", "c"], "name a file, or the member"),
        (["file.csv", "--points", 5], "not both"),
        (["file.csv"], "file.csv: cannot be read: No such file"),
        ([*one(5), "--api-key", ""], "--api-key or LOYALTY_API_KEY"),
        ([*one(5), "--tls-ca-file", "nothing.pem"], "nothing.pem cannot be read"),
    ],
)
def test_wrong_usage_is_one_line(adjust: Adjust, arguments: list[object], problem: str) -> None:
    ended = adjust(*arguments)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert problem in ended.err


def test_a_wrong_file_is_told_line_by_line_and_nothing_is_sent(
    adjust: Adjust, chain: Chain, file: Path
) -> None:
    file.write_text(
        "member_id,points,reason,key\n1,5,survey,k1\n0,5,survey,k2\n1,0,survey,k3\n1,x,survey,k4\n"
        "1,5,why,k5\n1,5,survey,\n1,5,survey,k1\n1,5,survey,system:k\n1,5\n,5,survey,k9\n"
    )
    ended = adjust(file)
    assert (ended.status, ended.out) == (2, "")
    problems = [line.removeprefix(f"{file}:") for line in ended.err.splitlines()]
    assert [problem.split(":")[0] for problem in problems] == [str(line) for line in range(3, 12)]
    assert [problem.split(": ")[1] for problem in problems[:7]] == [
        "member_id",
        "points",
        "points",
        "reason",
        "key",
        "key",
        "key",
    ]
    assert problems[7:] == [
        "10: must have 4 fields, not 2",
        "11: must name the member, either by member_id or by card",
    ]
    assert balance(chain, 1) == 0


def test_a_file_has_a_header(adjust: Adjust, file: Path) -> None:
    file.write_text("1,5,survey,k1\n")
    ended = adjust(file)
    known = "member_id,points,reason,key or card,points,reason,key or member_id,card,points,reason,key"
    assert ended.err == f"{file}:1: must be {known}, the header, not '1,5,survey,k1'\n"
