"""Starting and stopping an embedded PostgreSQL, whatever state the last one left its directory in."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import quote, urlencode

from storage.embedded.cluster import Cluster, failure
from storage.embedded.launch import EmbeddedPostgresError, find_launcher, give_tree
from storage.embedded.processes import kill, program, server_pids

START_TIMEOUT_SECONDS = 120  # recovery after a crash replays up to max_wal_size
STOP_TIMEOUT_SECONDS = 60
KILL_TIMEOUT_SECONDS = 10
POLL_SECONDS = 0.02
# Below the range the kernel takes outgoing ports from, so that a port is still free after a restart.
PORTS = range(20_000, 32_000)

DEFAULT_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_level": "replica",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One PostgreSQL server in `data_dir`; a context manager. Calls block and raise EmbeddedPostgresError.

    The server stops with the process that started it, however that one ends. `settings` are PostgreSQL's and
    come over DEFAULT_SETTINGS. `port` None takes a free one, the same in every run while it is free.
    `as_nobody` has root run the server as the user `nobody` even where a user namespace would do.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] = MappingProxyType({}),
        port: int | None = None,
        as_nobody: bool = False,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._cluster = Cluster(self.data_dir)
        self._settings = settings
        self._wanted_port = port
        self._as_nobody = as_nobody
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the running server's postmaster."""
        if self._process is None or not self.is_running():
            raise EmbeddedPostgresError(f"the PostgreSQL in {self.data_dir} is not running: start it first")
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def dsn(self, database: str = "postgres") -> str:
        """Give a database's URI, password included, over the unix socket; it outlives a stop and start."""
        if self._port is None:
            raise EmbeddedPostgresError(
                f"the PostgreSQL in {self.data_dir} has no address yet: start it first"
            )
        address = {"host": str(self._cluster.socket_directory), "port": str(self._port)}
        database = quote(database, safe="")
        query = urlencode(address, quote_via=quote)
        return f"postgresql://postgres:{self._cluster.password}@/{database}?{query}"

    def start(self) -> None:
        """Make the cluster if it is new, start the server and wait until it accepts connections."""
        if self.is_running():
            return
        if not sys.platform.startswith("linux"):
            raise EmbeddedPostgresError(
                "the embedded PostgreSQL needs Linux: name a PostgreSQL server of your own"
            )
        try:
            self._start()
        except OSError as error:
            self.stop(immediate=True)
            raise EmbeddedPostgresError(
                f"PostgreSQL cannot start in {self.data_dir} ({error}): "
                "put that right, or name another data directory"
            ) from error
        except BaseException:
            self.stop(immediate=True)
            raise

    def stop(self, *, immediate: bool = False) -> None:
        """Disconnect clients, write everything out, stop; `immediate` leaves recovery to the next start."""
        ways = (
            (signal.SIGINT, STOP_TIMEOUT_SECONDS),
            (signal.SIGQUIT, KILL_TIMEOUT_SECONDS),
            (signal.SIGKILL, KILL_TIMEOUT_SECONDS),
        )
        for way, timeout_seconds in ways[immediate:]:
            if self._process is None:
                break
            self._process.send_signal(way)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_seconds)
                self._process = None
        self._cluster.release()

    def kill(self) -> None:
        """End the server as a crash would: SIGKILL for the postmaster and its children."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._end_orphans()
        self._cluster.release()

    def _start(self) -> None:
        cluster = self._cluster
        cluster.make_directory()
        cluster.lock()
        launcher = find_launcher(self.data_dir, as_nobody=self._as_nobody)
        cluster.initialise(launcher, sync=self._settings.get("fsync") != "off")
        cluster.check_version()
        self._clear_remains()
        give_tree(cluster.pgdata, launcher.owner)
        cluster.make_socket_directory(launcher.owner)
        self._port = self._choose_port()
        log_offset = cluster.log.stat().st_size if cluster.log.exists() else 0
        self._process = launcher.spawn("postgres", *self._arguments(self._port), log=cluster.log)
        self._wait_until_ready(log_offset)

    def _clear_remains(self) -> None:
        """Let a server whose parent was killed finish stopping, and end the children of a killed server."""
        cluster = self._cluster
        postmaster, _ = cluster.postmaster_status()
        if not _wait_until(lambda: postmaster not in server_pids(cluster.name), STOP_TIMEOUT_SECONDS):
            raise cluster.in_use_by(str(postmaster))
        self._end_orphans()
        # PostgreSQL would take any process that has been given the dead server's number for that server.
        if program(postmaster) not in {"", "postgres"}:
            cluster.pid_file.unlink(missing_ok=True)

    def _end_orphans(self) -> None:
        """Without their postmaster, busy backends run on and keep a new server from starting."""
        name = self._cluster.name
        kill(server_pids(name))
        if not _wait_until(lambda: not server_pids(name), KILL_TIMEOUT_SECONDS):
            raise self._cluster.in_use_by(", ".join(map(str, server_pids(name))))

    def _choose_port(self) -> int:
        wanted = self._wanted_port
        if wanted is not None:
            if not _is_free(wanted):
                raise EmbeddedPostgresError(
                    f"port {wanted} is taken: name another, or none to have one chosen"
                )
            return wanted
        # Seeded by the cluster, so that a directory is served on the same port in every run.
        candidates = random.Random(self._cluster.name).sample(PORTS, 100)
        if self._port is not None:
            candidates.insert(0, self._port)
        return next(port for port in candidates if _is_free(port))

    def _arguments(self, port: int) -> list[str]:
        socket_directory = str(self._cluster.socket_directory).replace('"', '""')
        settings = {
            **DEFAULT_SETTINGS,
            **self._settings,
            "port": str(port),
            "cluster_name": self._cluster.name,
            "unix_socket_directories": f'"{socket_directory}"',
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return ["-D", str(self._cluster.pgdata), *options]

    def _wait_until_ready(self, log_offset: int) -> None:
        if not _wait_until(lambda: self._is_ready() or not self.is_running(), START_TIMEOUT_SECONDS):
            what = f"did not accept connections within {START_TIMEOUT_SECONDS} seconds"
            raise failure(what, self._cluster.log, log_offset)
        if not self.is_running():
            raise failure("did not start", self._cluster.log, log_offset)

    def _is_ready(self) -> bool:
        pid, state = self._cluster.postmaster_status()
        return self._process is not None and pid == self._process.pid and state == "ready"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL binds: the closed connections of a server just stopped do not hold its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    """Tell whether the condition came true in time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
