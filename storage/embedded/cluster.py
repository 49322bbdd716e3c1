"""The directory of an embedded PostgreSQL: its cluster, password, lock, logs and socket."""

import fcntl
import hashlib
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from storage.embedded.launch import EmbeddedPostgresError, Launcher, wheel_major_version

SOCKET_PATH_BYTES_MAX = 107
FAILURE_LINES_MAX = 6
INITDB_ARGUMENTS = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--no-locale",
    "--data-checksums",
)


class Cluster:
    """What lies in `directory`. OSErrors pass; what a human can put right is an EmbeddedPostgresError."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pgdata = directory / "pgdata"
        self.pid_file = self.pgdata / "postmaster.pid"
        self.log = directory / "postgres.log"
        self._password_file = directory / "password"
        self._lock: int | None = None

    def make_directory(self) -> None:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        if not self.directory.exists():
            self.directory.mkdir()
            # Root may have to run the server as `nobody`, who must pass through; what lies inside is private.
            self.directory.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def lock(self) -> None:
        """Hold the directory until `release` or the end of this process."""
        if self._lock is not None:
            return
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode().strip()
            os.close(lock)
            raise self.in_use_by(holder) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def release(self) -> None:
        """Give the directory up, if held, once its server has ended."""
        if self._lock is None:
            return
        with suppress(OSError):
            shutil.rmtree(self.socket_directory)
        os.close(self._lock)
        self._lock = None

    def in_use_by(self, pids: str) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"the data directory {self.directory} is in use by process {pids}: "
            "stop that one, or name another directory"
        )

    def initialise(self, launcher: Launcher, *, sync: bool) -> None:
        """Make the cluster unless it is there; `sync` has it safely on disk before the return."""
        if self.pgdata.exists():
            return
        # A passing name, so that a half-made cluster is never taken for a whole one.
        partial, log = self.directory / "pgdata.partial", self.directory / "initdb.log"
        shutil.rmtree(partial, ignore_errors=True)
        _make_private_directory(partial, launcher.owner)
        log.unlink(missing_ok=True)
        _write_private(self._password_file, secrets.token_urlsafe(24), launcher.owner)
        options = [*INITDB_ARGUMENTS, f"--pwfile={self._password_file}", *([] if sync else ["--no-sync"])]
        if launcher.run("initdb", f"--pgdata={partial}", *options, log=log) != 0:
            raise failure("could not make a new cluster", log)
        partial.rename(self.pgdata)
        # A rename lost in a power failure would leave the cluster under the name that the next start removes.
        _sync_directory(self.directory)

    def check_version(self) -> None:
        found, ours = (self.pgdata / "PG_VERSION").read_text().strip(), wheel_major_version()
        if found != ours:
            raise EmbeddedPostgresError(
                f"{self.pgdata} was made by PostgreSQL {found} and this is PostgreSQL {ours}: "
                "move the data with pg_dump or pg_upgrade, or name another data directory"
            )

    @property
    def name(self) -> str:
        """Tells this cluster's processes from all others; the same in every run."""
        place = self.pgdata.stat()
        return "embedded-" + hashlib.sha256(f"{place.st_dev} {place.st_ino}".encode()).hexdigest()[:16]

    @property
    def password(self) -> str:
        try:
            return self._password_file.read_text()
        except OSError as error:
            raise EmbeddedPostgresError(
                f"cannot read the server's password ({error}): restore it, or name another data directory"
            ) from error

    @property
    def socket_directory(self) -> Path:
        inside = self.directory / "socket"
        if len(os.fsencode(inside / ".s.PGSQL.65535")) <= SOCKET_PATH_BYTES_MAX:
            return inside
        # Unlike TMPDIR this is short, and open to `nobody`.
        return Path("/tmp") / self.name  # noqa: S108 - made anew and private, or the start fails

    def make_socket_directory(self, owner: tuple[int, int]) -> None:
        """Make it anew: to a reused process id, the lock file a killed server leaves there looks held."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.socket_directory)
        _make_private_directory(self.socket_directory, owner)

    def postmaster_status(self) -> tuple[int, str]:
        """Process id (0 if none) and state of the postmaster, as it wrote them when it was last alive."""
        try:
            lines = self.pid_file.read_text().splitlines()
        except FileNotFoundError:
            lines = []
        return int(lines[0]) if lines else 0, lines[7].strip() if len(lines) > 7 else ""


def failure(what: str, log: Path, offset: int = 0) -> EmbeddedPostgresError:
    """Tell `what` with the last lines that were logged from the byte `offset` on."""
    lines = [line.strip() for line in log.read_bytes()[offset:].decode(errors="replace").splitlines()]
    tail = "; ".join(line for line in lines[-FAILURE_LINES_MAX:] if line)
    return EmbeddedPostgresError(f"PostgreSQL {what}, see {log}: {tail}")


def _make_private_directory(path: Path, owner: tuple[int, int]) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, *owner)


def _write_private(path: Path, text: str, owner: tuple[int, int]) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fchown(file.fileno(), *owner)
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
