"""Parts of the ledger in processes of their own, which all see the same moment of the database."""

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import Any, Final, TypeAlias

from processor.domain.failures import StorageFailure
from storage.audit_part import Part, PartReport, audit_part
from storage.owner import owner_connection
from storage.queries import load_queries

_SQL: Final = load_queries("verify")
_STOP_SECONDS: Final = 10

Pipe: TypeAlias = "Connection[Any, Any]"


class AuditProcessError(Exception):
    """A process has ended before its part was done."""


async def audit_in_processes(
    dsn: str, snapshot: str, parts: Sequence[Part], on_operations: Callable[[int], None]
) -> Sequence[PartReport]:
    """Audit each part over a connection of its own, in a snapshot that another one has exported.

    That one's transaction must last until this returns. Raises StorageFailure or AuditProcessError.
    """
    # The threads end last: each waits for a process.
    with ThreadPoolExecutor(len(parts)) as threads, ExitStack() as stack:
        pipes = [_start(stack, dsn, snapshot, part) for part in parts]
        return await asyncio.gather(*(_report(pipe, threads, on_operations) for pipe in pipes))


def _start(stack: ExitStack, dsn: str, snapshot: str, part: Part) -> Pipe:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_work, args=(theirs, dsn, snapshot, part), daemon=True)
    process.start()
    theirs.close()  # so that the pipe breaks when the process ends
    stack.callback(ours.close)
    stack.callback(process.join, _STOP_SECONDS)
    stack.callback(process.kill)
    return ours


async def _report(pipe: Pipe, threads: Executor, on_operations: Callable[[int], None]) -> PartReport:
    loop = asyncio.get_running_loop()
    while True:
        message = await loop.run_in_executor(threads, _receive, pipe)
        if isinstance(message, PartReport):
            return message
        if isinstance(message, StorageFailure):
            raise message
        on_operations(message)


def _receive(pipe: Pipe) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        raise AuditProcessError("a process that checks the ledger has ended before its time") from None


# --- in a process of a part -----------------------------------------------------------------------------


def _work(pipe: Pipe, dsn: str, snapshot: str, part: Part) -> None:
    """Tell the pipe how many operations are done, again and again, and at last the report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted ends this process too
    with suppress(BrokenPipeError):  # nobody waits for it any more
        try:
            pipe.send(asyncio.run(_audit(dsn, snapshot, part, pipe.send)))
        except StorageFailure as failure:
            pipe.send(failure)


async def _audit(dsn: str, snapshot: str, part: Part, on_operations: Callable[[int], None]) -> PartReport:
    async with (
        owner_connection(dsn) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(_SQL["enter_snapshot"].format(snapshot=snapshot))
        return await audit_part(connection, part, on_operations)
