"""`run`: PostgreSQL, the service and the demo, as real processes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from processor.domain.program_document import DEFAULT_PROGRAM
from storage.directory import create_chain
from storage.owner import owner_connection
from tests.postgres import Server, run

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
    refused = execute("operation", "demo", redemption, *dsn)
    assert re.search(r"error.details.0.reason +INSUFFICIENT_POINTS *\n", refused)

    assert "300 members and 408 operations: 0 differences." in execute("verify", "demo", *dsn)
    Server(database, "").execute("UPDATE account SET balance_points = 0 WHERE member_id = 7")
    assert "300 members and 408 operations: 1 differences." in execute("verify", *dsn, status=1)
    [difference] = json.loads(execute("verify", "--json", *dsn, status=1))["differences"]
    assert (difference["chain"], difference["member_id"], difference["found"]) == ("demo", 7, "0")


def test_a_call_that_surprises_makes_the_demo_fail(database: str) -> None:
    async def create_stingy_chain() -> None:
        async with owner_connection(database) as connection:
            await create_chain(connection, "demo", document={"earning": DEFAULT_PROGRAM["earning"]})

    run(create_stingy_chain())
    shown = execute("run", "--once", *FREE_PORTS, "--dsn", database, status=1)
    assert "REDEMPTION_ABOVE_LIMIT: expected OK" in shown


def exported_dsn(shown: str) -> str:
    """What a shell makes of the lines that export it."""
    script = "\n".join(re.findall(r"^(?:export LOYALTY_DSN=)?'.*$", shown, re.MULTILINE))
    shell = ["sh", "-c", f'{script}\nprintf %s "$LOYALTY_DSN"']
    return subprocess.run(shell, capture_output=True, text=True, check=True).stdout


def test_everything_ends_with_run_and_the_api_key_is_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)  # root may have to run PostgreSQL as another user
    key_file = tmp_path / "postgres" / "demo_api_key"
    api_keys = set()
    for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        with serving("--data-dir", str(key_file.parent)) as process:
            family = psutil.Process(process.pid).children(recursive=True)
            assert {"postgres", "python"} <= {each.name().rstrip("0123456789.") for each in family}
            process.send_signal(end)
            assert process.wait(END_SECONDS) == (-9 if end == signal.SIGKILL else 0)
            assert process.stdout is not None
            shown = process.stdout.read()
            assert f"API key  {key_file.read_text()}" in shown
            assert max(map(len, shown.splitlines())) <= 80
            assert re.fullmatch(r"postgresql://.*%2Fpostgres%2Fsocket&port=\d+", exported_dsn(shown))
        assert psutil.wait_procs(family, END_SECONDS)[1] == []
        assert key_file.stat().st_mode & 0o777 == 0o600
        api_keys.add(key_file.read_text())
    assert len(api_keys) == 1


def test_a_taken_port_is_one_line(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["run", "--once", "--dsn", database, "--port", port, "--http-port", "0"]
        failed = subprocess.run(
            [*PROGRAM, *arguments], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
    assert failed.returncode == 2
    assert f"LOYALTY_PORT {port} can't be listened on" in failed.stderr
    assert failed.stderr.count("\n") == 1
