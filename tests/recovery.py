"""Base backup, archive of the WAL, and recovery to a point in time, by PostgreSQL's own programs."""

import asyncio
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.embedded import EmbeddedPostgres
from storage.embedded.launch import find_launcher, wheel_binaries
from storage.migrate import migrate
from storage.pool import connect
from tests.postgres import run
from tests.server import eventually_true

_WAL_BYTES: Final = 16 * 1024 * 1024


class Backup:
    """What is kept of a server in `directory`: a base backup, and the segments of the WAL."""

    def __init__(self, directory: Path) -> None:
        self.base = directory / "base"
        self.wal = directory / "wal"

    def make_wal_directory(self) -> None:
        self.wal.mkdir(parents=True)
        os.chown(self.wal, *find_launcher(self.wal.parent).owner)

    @property
    def archiving(self) -> dict[str, str]:
        """The settings of a server that archives here."""
        return {
            "archive_mode": "on",
            "archive_library": "basic_archive",
            "basic_archive.archive_directory": str(self.wal),
        }

    def recovering(self, target_time: str) -> dict[str, str]:
        """The settings of a server that recovers from here, up to that time."""
        return {
            "restore_command": f"cp {shlex.quote(str(self.wal))}/%f %p",
            "recovery_target_time": target_time,
            "recovery_target_action": "promote",
            "hot_standby": "off",  # accept nobody before that
        }

    async def take_base(self, dsn: str) -> None:
        """Copy the running server, and check the copy against its manifest."""
        await _run_program("pg_basebackup", f"--dbname={dsn}", f"--pgdata={self.base}", "--checkpoint=fast")
        await _run_program("pg_verifybackup", "--quiet", str(self.base))

    async def finish_wal(self, dsn: str) -> None:
        """Close the present segment, and wait until it is archived."""
        connection = await connect(dsn)
        segment = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")
        await connection.close()
        await eventually_true(lambda: self._has(segment))

    async def _has(self, segment: str) -> bool:
        file = self.wal / segment
        return file.exists() and file.stat().st_size == _WAL_BYTES


@contextmanager
def archiving_postgres(directory: Path, backup: Backup) -> Iterator[EmbeddedPostgres]:
    """A server that archives its WAL, with a migrated database `postgres`."""
    backup.make_wal_directory()
    with EmbeddedPostgres(directory, settings=backup.archiving) as postgres:
        run(migrate(postgres.dsn()))
        yield postgres


def recovering_postgres(
    directory: Path, backup: Backup, target_time: str, lost: EmbeddedPostgres
) -> EmbeddedPostgres:
    """Another server, which will be as the lost one was at that time once it has started."""
    directory.mkdir(mode=0o711)
    shutil.copytree(backup.base, directory / "pgdata")
    (directory / "pgdata" / "recovery.signal").touch()
    shutil.copy2(lost.data_dir / "password", directory)
    return EmbeddedPostgres(directory, settings=backup.recovering(target_time))


async def _run_program(name: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        wheel_binaries() / name, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
