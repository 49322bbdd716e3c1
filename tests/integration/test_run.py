"""`run`: PostgreSQL, the service and the demo, as real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.postgres import Server

PROGRAM = (sys.executable, "-m", "processor")
FREE_PORTS = ("--port", "0", "--http-port", "0")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("LOYALTY_")}
END_SECONDS = 60


def execute(*arguments: str, status: int = 0) -> str:
    """Run a command to its end; what it printed."""
    done = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode == status, done.stderr
    return done.stdout


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`run`, from when it says that it serves; killed at the end if it still runs."""
    command = [*PROGRAM, "run", *FREE_PORTS, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "Serving until Ctrl-C.\n"
            yield process
        finally:
            process.kill()


def test_the_demo_comes_back_as_expected_and_again(database: str) -> None:
    dsn = ("--dsn", database)
    for _ in range(2):
        shown = execute("run", "--once", *FREE_PORTS, *dsn)
        assert [line.split("  ")[0] for line in shown.splitlines()[2:11]] == [
            "Accrue",
            "Accrue, again",
            "Redeem",
            "Redeem, again",
            "Redeem",
            "Redeem, again",
            "Accrue",
            "Checkout",
            "Batch of 200",
        ]
        assert max(map(len, shown.splitlines())) <= 80
        assert "grpcurl -plaintext" in shown
        assert "/metrics" in shown
    accrual, redemption = shown.splitlines()[2].split()[1], shown.splitlines()[6].split()[1]

    recorded = json.loads(execute("operation", "demo", accrual, "--json", *dsn))
    assert recorded["operation"]["earned_points"] == "12"
    refused = json.loads(execute("operation", "demo", redemption, "--json", *dsn))
    assert refused["error"]["details"][0]["reason"] == "INSUFFICIENT_POINTS"
    assert "operation.payable_minor" in execute("operation", "demo", accrual, *dsn)

    verified = json.loads(execute("verify", "--json", *dsn))
    assert (verified["members"], verified["operations"], verified["differences"]) == (300, 408, [])
    assert "300 members and 408 operations: 0 differences." in execute("verify", "demo", *dsn)


def test_a_call_that_surprises_makes_the_demo_fail(database: str, tmp_path: Path) -> None:
    execute("chain", "create", "demo", "--dsn", database)
    stingy = tmp_path / "program.yaml"
    stingy.write_text(
        "earning: {points_per_step: 1, step_minor: 10000, rounding: down, rounding_scope: receipt}\n"
    )
    execute("program", "set", "demo", str(stingy), "--dsn", database)
    shown = execute("run", "--once", *FREE_PORTS, "--dsn", database, status=1)
    assert "REDEMPTION_ABOVE_LIMIT: expected OK" in shown


def test_a_difference_is_listed_and_ends_verify_with_1(database: str) -> None:
    execute("run", "--once", *FREE_PORTS, "--dsn", database)
    Server(database, "").execute("UPDATE account SET balance_points = balance_points + 1 WHERE member_id = 7")
    shown = execute("verify", "--dsn", database, status=1)
    assert "300 members and 204 operations: 1 differences." in shown
    [difference] = json.loads(execute("verify", "--json", "--dsn", database, status=1))["differences"]
    assert (difference["chain"], difference["member_id"]) == ("demo", 7)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_everything_ends_with_run(tmp_path: Path, end: signal.Signals) -> None:
    tmp_path.chmod(0o711)  # root may have to run PostgreSQL as another user
    data_dir = tmp_path / "postgres"
    with serving("--data-dir", str(data_dir)) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        assert {"postgres", "python"} <= {each.name().rstrip("0123456789.") for each in family}
        process.send_signal(end)
        assert process.wait(END_SECONDS) == (-9 if end == signal.SIGKILL else 0)
    assert psutil.wait_procs(family, END_SECONDS)[1] == []


def test_the_demo_keeps_its_api_key_beside_the_data(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    command = ("run", "--once", *FREE_PORTS, "--data-dir", str(tmp_path / "postgres"))
    first, second = execute(*command), execute(*command)
    key_file = tmp_path / "postgres" / "demo_api_key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert f"API key  {key_file.read_text()}" in first
    assert f"API key  {key_file.read_text()}" in second


def test_a_taken_port_is_one_line(database: str) -> None:
    with serving("--dsn", database) as process:
        assert process.stdout is not None
        port = next(line for line in process.stdout if line.startswith("gRPC")).split(":")[1].strip()
        arguments = ["run", "--once", "--dsn", database, "--port", port, "--http-port", "0"]
        failed = subprocess.run(
            [*PROGRAM, *arguments], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        assert failed.returncode == 2
        assert f"LOYALTY_PORT {port} can't be listened on" in failed.stderr
        assert failed.stderr.count("\n") == 1
