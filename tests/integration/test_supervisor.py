"""Supervision of real processes: deaths, restarts, health, metrics of all workers, ports and the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import psutil
import pytest

from processor.place import Backoff
from tests.server import PATIENCE_SECONDS, Server, environment, eventually, launched

COMMAND: Final = (sys.executable, str(Path(__file__).with_name("tiny_worker.py")), "supervise")
NOWHERE: Final = "postgresql://nobody@127.0.0.1:1/none"


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start supervisors of tiny workers."""
    with ExitStack() as stack:

        def start_one(**options: object) -> Server:
            return stack.enter_context(launched(COMMAND, dsn=NOWHERE, **options))

        yield start_one


def test_one_line_tells_when_all_serve_and_where(start: Start) -> None:
    server = start(workers=2, http_host="127.0.0.1")
    event = server.wait_until_serving()
    assert event["http"] == server.http
    assert not event["address"].endswith(":0")
    assert len(server.events("serving")) == 1
    assert server.get("/healthz")[0] == 200
    assert server.get("/livez")[0] == 200
    assert server.get("/nothing")[0] == 404
    assert [worker["state"] for worker in server.workers()] == ["serving"] * 2


def test_the_supervisor_has_no_grpc_in_it(start: Start) -> None:
    server = start()
    server.wait_until_serving()
    loaded = {Path(mapped.path).name for mapped in psutil.Process(server.process.pid).memory_maps()}
    assert any(name.startswith("libc") for name in loaded)
    assert not any("cygrpc" in name or "protobuf" in name for name in loaded)
    code = "import processor.supervisor, sys; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def has_counted(server: Server, signals: int) -> bool:
    """Whether the workers have counted that many signals together."""
    return server.metric("tiny_signals_total", kind="usr1") == signals


@pytest.mark.parametrize("given, taken", [(None, "2"), ("7", "7")])
def test_workers_have_few_heaps_unless_told_otherwise(
    start: Start, monkeypatch: pytest.MonkeyPatch, given: str | None, taken: str
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    if given:
        monkeypatch.setenv("MALLOC_ARENA_MAX", given)

    server = start()
    server.wait_until_serving()

    [worker] = psutil.Process(server.process.pid).children()
    assert worker.environ()["MALLOC_ARENA_MAX"] == taken


def test_a_killed_worker_is_replaced_and_its_counts_stay(start: Start) -> None:
    server = start(workers=2)
    server.wait_until_serving()
    first, second = server.pids()
    for count, pid in enumerate((first, second, first), start=1):
        os.kill(pid, signal.SIGUSR1)
        eventually(partial(has_counted, server, count))
    os.kill(first, signal.SIGKILL)
    eventually(lambda: server.workers()[0]["restarts"] == 1 and server.workers()[0]["state"] == "serving")
    replacement, unharmed = server.pids()
    assert replacement != first
    assert unharmed == second
    assert has_counted(server, 3)
    os.kill(replacement, signal.SIGUSR1)
    eventually(partial(has_counted, server, 4))
    assert server.metric("tiny_alive") == 2
    assert server.metric("loyalty_worker_restarts_total", worker="0") == 1
    assert server.metric("loyalty_workers_serving") == server.metric("loyalty_workers") == 2
    (death,) = server.events("worker died")
    assert (death["worker"], death["cause"], death["restart_in_seconds"]) == (0, "signal SIGKILL", 0)


def test_a_worker_that_hangs_is_killed_and_replaced(start: Start) -> None:
    server = start(workers=2, worker_silence_seconds_max=8)
    server.wait_until_serving()
    hung, sound = server.pids()
    os.kill(hung, signal.SIGSTOP)
    eventually(lambda: server.workers()[0]["restarts"] == 1 and server.workers()[0]["state"] == "serving")
    assert server.pids()[0] != hung
    assert server.pids()[1] == sound
    assert not psutil.pid_exists(hung)
    assert server.metric("loyalty_worker_hangs_total", worker="0") == 1
    assert server.metric("loyalty_worker_hangs_total", worker="1") == 0
    (hang,) = server.events("worker hangs: killing it")
    assert (hang["worker"], hang["silent_seconds"]) == (0, 8)


def test_workers_do_not_wait_for_a_supervisor_that_hangs(start: Start) -> None:
    server = start(worker_silence_seconds_max=3)
    server.wait_until_serving()
    (pid,) = server.pids()
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    server.process.send_signal(signal.SIGCONT)
    eventually(lambda: server.get("/healthz")[0] == 200)
    os.kill(pid, signal.SIGUSR1)
    eventually(lambda: has_counted(server, 1))
    assert server.pids() == [pid]


def test_a_worker_that_somebody_stops_is_replaced(start: Start) -> None:
    server = start()
    server.wait_until_serving()
    os.kill(server.pids()[0], signal.SIGTERM)
    eventually(lambda: server.workers()[0]["restarts"] == 1 and server.get("/healthz")[0] == 200)
    assert server.events("worker died")[0]["cause"] == "exit status 0"


def test_a_defect_in_reading_the_settings_again_changes_nothing(start: Start) -> None:
    server = start()
    server.wait_until_serving()
    before = server.pids()
    server.send("SIGHUP")
    [told] = eventually(lambda: server.events("workers not replaced"), describe=server.log)
    assert told["exception"].endswith("RuntimeError: a defect")
    assert server.pids() == before
    assert server.stop("SIGTERM") == 0


def test_the_service_is_healthy_while_one_worker_serves(start: Start) -> None:
    server = start(workers=2)
    server.wait_until_serving()
    first, second = server.pids()
    os.kill(first, signal.SIGUSR2)
    eventually(lambda: server.workers()[0]["state"] == "not_serving")
    assert server.get("/healthz")[0] == 200
    os.kill(second, signal.SIGUSR2)
    eventually(lambda: server.get("/healthz")[0] == 503)
    assert server.get("/livez")[0] == 200
    assert server.metric("loyalty_workers_serving") == 0
    os.kill(second, signal.SIGUSR2)
    eventually(lambda: server.get("/healthz")[0] == 200)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_end_drains_the_workers_and_leaves_nothing(start: Start, name: str) -> None:
    server = start(workers=2, TINY_STAYS=1)
    server.wait_until_serving()
    pids = server.pids()
    metrics_dir = Path(psutil.Process(pids[0]).environ()["PROMETHEUS_MULTIPROC_DIR"])
    assert metrics_dir.stat().st_mode & 0o777 == 0o700
    server.send(name)
    eventually(lambda: {worker["state"] for worker in server.workers()} == {"draining"})
    assert server.get("/healthz")[0] == 503
    for pid in pids:
        os.kill(pid, signal.SIGUSR2)
    assert server.process.wait(PATIENCE_SECONDS) == 0
    assert [event["cause"] for event in server.events("worker stopped")] == ["exit status 0"] * 2
    assert not any(map(psutil.pid_exists, pids))
    assert not metrics_dir.exists()


def test_workers_that_do_not_stop_are_killed_in_the_end(start: Start) -> None:
    server = start(TINY_STAYS=1, drain_seconds=0, stop_seconds=1)
    server.wait_until_serving()
    assert server.stop("SIGTERM") == 1
    assert server.events("worker stopped")[0]["cause"] == "signal SIGKILL"


def test_a_second_ctrl_c_kills_at_once(start: Start) -> None:
    server = start(TINY_STAYS=1, stop_seconds=3_600)
    server.wait_until_serving()
    server.send("SIGINT")
    eventually(lambda: server.workers()[0]["state"] == "draining")
    assert server.stop("SIGINT") == 1


@pytest.mark.parametrize("options", [{}, {"TINY_STAYS": 1}])
def test_workers_do_not_outlive_their_supervisor(start: Start, options: dict[str, object]) -> None:
    server = start(workers=2, drain_seconds=0, stop_seconds=1, **options)
    server.wait_until_serving()
    pids = server.pids()
    metrics_dir = Path(psutil.Process(pids[0]).environ()["PROMETHEUS_MULTIPROC_DIR"])
    assert server.stop("SIGKILL") == -signal.SIGKILL
    eventually(lambda: not any(map(is_running, pids)))
    assert options or not metrics_dir.exists()


def is_running(pid: int) -> bool:
    """Whether the process lives; one that nobody has buried yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_that_keep_dying_are_restarted_ever_later_until_told_to_stop(start: Start) -> None:
    server = start(TINY_FAILS=1)
    eventually(lambda: len(server.events("worker died")) >= 3)
    deaths = server.events("worker died")
    assert [death["restart_in_seconds"] for death in deaths[:3]] == [0, 0.25, 0.5]
    assert deaths[0]["cause"] == "exit status 3"
    assert server.get("/healthz")[0] == 503
    assert server.get("/livez")[0] == 200
    assert server.stop("SIGTERM") == 0


def test_a_long_life_ends_the_backoff() -> None:
    backoff = Backoff()
    assert [backoff.after_life(1) for _ in range(8)] == [0, 0.25, 0.5, 1, 2, 4, 5, 5]
    assert backoff.after_life(60) == 0
    assert backoff.after_life(1) == 0.25


@pytest.mark.parametrize("name", ["port", "http_port"])
def test_a_busy_port_is_told_in_one_line(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        line = refusal(**{name: busy.getsockname()[1]})
        assert f"LOYALTY_{name.upper()} {busy.getsockname()[1]} can't be listened on: Address already" in line


def test_the_port_of_another_supervisor_is_busy(start: Start) -> None:
    address = start().address
    assert "can't be listened on: Address already in use" in refusal(port=address.rpartition(":")[2])


def test_an_unknown_host_is_told_in_one_line() -> None:
    assert "LOYALTY_HOST no-such-host.invalid and " in refusal(host="no-such-host.invalid")


def test_nonsense_for_the_failpoints_is_told_in_one_line() -> None:
    assert "there is no such failpoint" in refusal(failpoints="nowhere=kill:1")


def refusal(**options: object) -> str:
    """The one line with which a service that can't start ends."""
    done = subprocess.run(
        COMMAND,
        env=environment(dsn=NOWHERE, **options),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    lines: list[str] = done.stderr.splitlines()
    assert len(lines) == 1
    return lines[0]
