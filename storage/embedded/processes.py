"""The running processes of an embedded PostgreSQL, told by the cluster's name in their command lines."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def server_pids(cluster_name: str) -> set[int]:
    """Process ids of the cluster's postmaster and of its children."""
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    return {int(path.name) for path in processes if _is_of(path, cluster_name.encode())}


def kill(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def program(pid: int) -> str:
    """The name of the program a process runs; empty if there is no such process."""
    return _read(Path(f"/proc/{pid}/comm")).decode().strip()


def _is_of(process: Path, cluster_name: bytes) -> bool:
    return cluster_name in _read(process / "cmdline") and _read(process / "comm") == b"postgres\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # ended meanwhile
        return b""
