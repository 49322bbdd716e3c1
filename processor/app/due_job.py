"""What time does to members' points, also when nobody calls: one process of all sees to those who are due."""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NoReturn

import structlog

from processor.batcher import Batcher
from processor.clock import now_us
from processor.domain.command import due_command
from processor.domain.failures import StorageFailure
from processor.domain.outcomes import Outcome
from storage.due import DueRow, DueTurn, due_turn
from storage.opened import OpenStorage

# Few enough that a till's calls, which share the queue with them, hardly wait.
_ROWS_AT_ONCE: Final = 200
_DEADLINE_SECONDS: Final = 30.0
# After a page of which something could not be done, lest a service in trouble be asked without end.
_PAUSE_SECONDS: Final = 1.0
# A member who is no more has nothing that could be due.
_DONE: Final = frozenset({Outcome.APPLIED, Outcome.MEMBER_NOT_FOUND})

log = structlog.get_logger()


async def see_to_due(storage: OpenStorage, batcher: Batcher, interval_seconds: float) -> NoReturn:
    """Look for ever, unless another process does just now."""
    while True:
        try:
            async with due_turn(storage.pool) as turn:
                if turn:
                    await work_off(turn, batcher)
        except StorageFailure as failure:
            log.warning("members whose time has come are not seen to", error=str(failure))
        await asyncio.sleep(interval_seconds)


async def work_off(turn: DueTurn, batcher: Batcher) -> None:
    """Go once through everything that is due now; a row goes when what it stands for is committed."""
    until_us = now_us()
    rows = await turn.read(until_us, _ROWS_AT_ONCE)
    while rows:
        done = await _apply(rows, batcher)
        await turn.forget(done)
        if len(done) < len(rows):
            log.warning("some members whose time has come are left for later", members=len(rows) - len(done))
            await asyncio.sleep(_PAUSE_SECONDS)
        rows = await turn.read(until_us, _ROWS_AT_ONCE, after=rows[-1])


async def _apply(rows: Sequence[DueRow], batcher: Batcher) -> list[DueRow]:
    """Have the ledger do what is due; returns the rows of which it was done."""
    by_chain = attrgetter("chain_id")
    done: list[DueRow] = []
    for chain_id, of_chain in groupby(sorted(rows, key=by_chain), key=by_chain):
        members = list(of_chain)
        commands = [due_command(row.member_id) for row in members]
        deadline = asyncio.get_running_loop().time() + _DEADLINE_SECONDS
        replies = await batcher.submit(chain_id, commands, deadline)
        done += [row for row, reply in zip(members, replies, strict=True) if reply.outcome in _DONE]
    return done
