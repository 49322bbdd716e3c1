"""The tills of one client process: each household's receipts in order of time, many households at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final

from hdrh.histogram import HdrHistogram

from benchmarks.answers import Answer
from benchmarks.replay.connections import Connection
from benchmarks.replay.log import LogEntry
from benchmarks.replay.plan import choose_copies, choose_redeem_points, redeems
from benchmarks.replay.requests import Header, Requests
from loyalty.v1.transaction_service_pb2 import OperationRequest

REPEAT_FOR_SECONDS: Final = 120
LATENCY_RANGE_US: Final = (1, 60_000_000, 3)  # with 3 significant digits
_FIRST_DELAY_SECONDS: Final = 0.1
_DELAY_SECONDS_MAX: Final = 2.0
# A till goes on after these. Any other refusal is a defect of the one side or the other, and ends the replay.
_EXPECTED_REFUSALS: Final = {"INSUFFICIENT_POINTS", "REDEMPTION_BELOW_MINIMUM", "REDEMPTION_ABOVE_LIMIT"}


class ReplayError(Exception):
    """One line: why the replay cannot go on."""


@dataclass(slots=True)
class Household:
    """What its till knows: the receipts to come, and the balance of the last answer."""

    receipts: Iterator[Header]
    redeems: bool
    balance_points: int
    position: int = 0


@dataclass(slots=True)
class Call:
    """One receipt under way."""

    household: Household
    header: Header
    copies: int
    redeem_points: int
    request: OperationRequest
    answers: list[Answer] = field(default_factory=list)
    repeats: int = 0


class Tills:
    """Sends all receipts, the oldest first; `log` and `latencies_us` grow as they are answered.

    Each of `lanes` takes up to `batch_ops` households whose receipts are due next, sends a receipt of each
    and waits for the answers. `on_answered` is told how many receipts were answered.
    """

    def __init__(
        self,
        connections: Sequence[Connection],
        requests: Requests,
        *,
        seed: int,
        lanes: int,
        batch_ops: int,
        on_answered: Callable[[int], None],
    ) -> None:
        self._connections = connections
        self._requests = requests
        self._seed = seed
        self._lane_count = lanes
        self._batch_ops = batch_ops
        self._on_answered = on_answered
        self._due: asyncio.PriorityQueue[tuple[int, Header, Household]] = asyncio.PriorityQueue()
        self.log: list[LogEntry] = []
        self.latencies_us = HdrHistogram(*LATENCY_RANGE_US)

    async def run(self, headers: Iterable[Header], balances: Mapping[int, int]) -> None:
        """Send receipts, in order of time, of households with these balances. Raises ReplayError."""
        for household_id, receipts in _by_household(headers):
            redeeming = redeems(self._seed, household_id)
            self._schedule(Household(iter(receipts), redeeming, balances[household_id]))
        try:
            async with asyncio.TaskGroup() as tasks:
                lanes = [tasks.create_task(self._lane(number)) for number in range(self._lane_count)]
                await self._due.join()
                for lane in lanes:
                    lane.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    def _schedule(self, household: Household) -> None:
        header = next(household.receipts, None)
        if header:
            self._due.put_nowait((header.occurred_at_us, header, household))

    async def _lane(self, number: int) -> None:
        while True:
            calls = await self._take()
            await self._send(calls, number)
            for call in calls:
                self._finish(call)
            self._on_answered(len(calls))

    async def _take(self) -> list[Call]:
        due = [await self._due.get()]
        while len(due) < self._batch_ops and not self._due.empty():
            due.append(self._due.get_nowait())
        return [self._prepare(household, header) for _, header, household in due]

    def _prepare(self, household: Household, header: Header) -> Call:
        copies = choose_copies(self._seed, header.basket_id)
        if not household.redeems:
            return Call(household, header, copies, 0, self._requests.accrue(header))
        redeem_points = choose_redeem_points(
            self._seed, header.basket_id, household.balance_points, header.total_minor
        )
        return Call(household, header, copies, redeem_points, self._requests.checkout(header, redeem_points))

    async def _send(self, calls: Sequence[Call], lane: int) -> None:
        thrice = [call for call in calls if call.copies == 3]
        await asyncio.gather(
            self._settle(calls, lane), self._settle(thrice, lane + 1), self._settle(thrice, lane + 2)
        )
        await self._settle([call for call in calls if call.copies == 2], lane + 1)

    async def _settle(self, calls: Sequence[Call], lane: int) -> None:
        """Send a copy of each call, and again, unchanged, until its outcome is known."""
        connection = self._connections[lane % len(self._connections)]
        give_up_at = time.monotonic() + REPEAT_FOR_SECONDS
        delay_seconds = _FIRST_DELAY_SECONDS
        while calls:
            answers = await self._timed(connection.send([call.request for call in calls]))
            transient = _sort_out(calls, answers)
            calls = [call for call, _ in transient]
            if transient and time.monotonic() > give_up_at:
                raise ReplayError(f"no answer in {REPEAT_FOR_SECONDS} seconds: {transient[0][1].reason()}")
            if transient:
                asked_seconds = max(answer.retry_delay_seconds() for _, answer in transient)
                await asyncio.sleep(max(asked_seconds, delay_seconds))
                delay_seconds = min(2 * delay_seconds, _DELAY_SECONDS_MAX)

    async def _timed(self, sending: Awaitable[Sequence[Answer]]) -> Sequence[Answer]:
        started = time.perf_counter_ns()
        answers = await sending
        self.latencies_us.record_value((time.perf_counter_ns() - started) // 1000)
        return answers

    def _finish(self, call: Call) -> None:
        """Log it, and let the household's next receipt be due."""
        entry = _log_entry(call)
        self.log.append(entry)
        if not entry.reason:
            call.household.balance_points = entry.balance_points
        call.household.position += 1
        self._schedule(call.household)
        self._due.task_done()


def _by_household(headers: Iterable[Header]) -> Iterator[tuple[int, list[Header]]]:
    household_id = attrgetter("household_id")
    for number, receipts in groupby(sorted(headers, key=household_id), household_id):
        yield number, list(receipts)


def _sort_out(calls: Sequence[Call], answers: Sequence[Answer]) -> list[tuple[Call, Answer]]:
    """Give each call its answer; those whose outcome is not known yet come back."""
    transient = []
    for call, answer in zip(calls, answers, strict=True):
        if answer.is_transient:
            call.repeats += 1
            transient.append((call, answer))
        else:
            call.answers.append(answer)
    return transient


def _log_entry(call: Call) -> LogEntry:
    """Raises ReplayError if the call was refused for anything but its redemption."""
    answer = call.answers[0]
    reason = answer.reason()
    if reason and reason not in _EXPECTED_REFUSALS:
        raise ReplayError(f"receipt {call.header.basket_id} was refused: {reason}")
    earned, redeemed, balance = 0, 0, call.household.balance_points
    if not reason:
        operation = answer.operation()
        earned, redeemed = operation.earned_points, operation.redeemed_points
        balance = operation.balance_points
    return LogEntry(
        basket_id=call.header.basket_id,
        household_id=call.header.household_id,
        position=call.household.position,
        redeem_points=call.redeem_points,
        copies=call.copies,
        repeats=call.repeats,
        replays=sum(answer.replayed for answer in call.answers),
        answers_equal=len({(answer.code, answer.body) for answer in call.answers}) == 1,
        reason=reason,
        earned_points=earned,
        redeemed_points=redeemed,
        balance_points=balance,
    )
