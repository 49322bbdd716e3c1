"""A PostgreSQL of a test's own, durable, which the test may stop, freeze and kill."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from tests.chains import Chain, new_chain
from tests.load import MEMBERS
from tests.postgres import run


@contextmanager
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A new server with a migrated database `postgres`; it syncs, as one in production does."""
    with tempfile.TemporaryDirectory(prefix="loyalty-crash-") as directory:
        Path(directory).chmod(0o711)  # root may have to run the server as another user
        with EmbeddedPostgres(Path(directory) / "postgres") as postgres:
            run(migrate(postgres.dsn()))
            yield postgres


async def loaded_chain(dsn: str) -> Chain:
    """A chain with the members that `Load` sends calls for."""
    chain = await new_chain(dsn)
    await chain.add_members(MEMBERS, {f"card-{member_id}": member_id for member_id in MEMBERS})
    return chain


@contextmanager
def frozen(postgres: EmbeddedPostgres) -> Iterator[None]:
    """All of the server's processes stand still: connections stay open, nothing answers."""
    postmaster = psutil.Process(postgres.pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGCONT)
