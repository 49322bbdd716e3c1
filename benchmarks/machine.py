"""The machine that figures were taken on, when, and of which code."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import psutil

from processor.build import this_build
from storage.owner import owner_connection

_POSTGRES_SETTINGS = ("server_version", "fsync", "synchronous_commit", "shared_buffers")


def describe_machine() -> dict[str, object]:
    """Cores, memory, versions, the commit, whether it is compiled, the time, and how busy it all is now."""
    return {
        "commit": _commit(),
        "taken_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "compiled": this_build().is_compiled,
        "load_average": round(os.getloadavg()[0], 2),
    }


async def describe_postgres(dsn: str) -> dict[str, str]:
    """Its version and the settings that decide what a commit costs."""
    async with owner_connection(dsn) as connection:
        return {name: await _setting(connection, name) for name in _POSTGRES_SETTINGS}


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _commit() -> str:
    """Of the working tree that these modules are of; "unknown" if they are of none."""
    command = ("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


async def _setting(connection: asyncpg.Connection, name: str) -> str:
    return str(await connection.fetchval("SELECT current_setting($1)", name))
