"""The tills of one client process: each household's calls in order of time, many households at once."""

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
from benchmarks.replay.events import Comeback, Event, Header
from benchmarks.replay.log import LogEntry, Standing, standing_of, told_by, told_by_refusal
from benchmarks.replay.plan import (
    choose_comebacks,
    choose_copies,
    choose_redeem_points,
    is_offline,
    redeems,
)
from benchmarks.replay.requests import Requests
from benchmarks.replay.rules import Rules
from loyalty.v1.transaction_service_pb2 import OperationRequest

REPEAT_FOR_SECONDS: Final = 120
LATENCY_RANGE_US: Final = (1, 60_000_000, 3)  # with 3 significant digits
_FIRST_DELAY_SECONDS: Final = 0.1
_DELAY_SECONDS_MAX: Final = 2.0


class ReplayError(Exception):
    """One line: why the replay cannot go on."""


@dataclass(slots=True)
class Household:
    """What its till knows: what is to come, and where it stood at the last answer."""

    events: Iterator[Event]
    redeems: bool
    standing: Standing
    position: int = 0


@dataclass(slots=True)
class Call:
    """One call under way."""

    household: Household
    event: Event
    copies: int
    request: OperationRequest
    answers: list[Answer] = field(default_factory=list)
    repeats: int = 0


class Tills:
    """Sends all calls, the oldest first; `log` and `latencies_us` grow as they are answered.

    Each of `lanes` takes up to `batch_ops` households whose calls are due next, sends a call of each
    and waits for the answers. `on_answered` is told how many receipts were answered.
    """

    def __init__(
        self,
        connections: Sequence[Connection],
        requests: Requests,
        *,
        rules: Rules,
        seed: int,
        lanes: int,
        batch_ops: int,
        on_answered: Callable[[int], None],
    ) -> None:
        self._connections = connections
        self._requests = requests
        self._rules = rules
        self._seed = seed
        self._lane_count = lanes
        self._batch_ops = batch_ops
        self._on_answered = on_answered
        self._due: asyncio.PriorityQueue[tuple[int, Event, Household]] = asyncio.PriorityQueue()
        self.log: list[LogEntry] = []
        self.latencies_us = HdrHistogram(*LATENCY_RANGE_US)

    async def run(self, headers: Iterable[Header], standings: Mapping[int, Standing]) -> None:
        """Send receipts, in order of time, of households that stand so. Raises ReplayError."""
        for household_id, receipts in _by_household(headers):
            redeeming = redeems(self._seed, household_id)
            self._schedule(Household(self._events(receipts), redeeming, standings[household_id]))
        try:
            async with asyncio.TaskGroup() as tasks:
                lanes = [tasks.create_task(self._lane(number)) for number in range(self._lane_count)]
                await self._due.join()
                for lane in lanes:
                    lane.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    def _events(self, receipts: Sequence[Header]) -> Iterator[Event]:
        """The receipts, and under the rich rules what is brought back of them, in order of time."""
        if self._rules is Rules.PLAIN:
            return iter(receipts)
        latest_us = time.time_ns() // 1_000
        comebacks = [
            comeback
            for header in receipts
            for comeback in choose_comebacks(
                self._seed, header, self._requests.quantities_milli(header), latest_us
            )
        ]
        return iter(sorted([*receipts, *comebacks], key=attrgetter("occurred_at_us")))

    def _schedule(self, household: Household) -> None:
        event = next(household.events, None)
        if event:
            self._due.put_nowait((event.occurred_at_us, event, household))

    async def _lane(self, number: int) -> None:
        while True:
            calls = await self._take()
            await self._send(calls, number)
            for call in calls:
                self._finish(call)
            self._on_answered(sum(isinstance(call.event, Header) for call in calls))

    async def _take(self) -> list[Call]:
        due = [await self._due.get()]
        while len(due) < self._batch_ops and not self._due.empty():
            due.append(self._due.get_nowait())
        return [self._prepare(household, event) for _, event, household in due]

    def _prepare(self, household: Household, event: Event) -> Call:
        copies = choose_copies(self._seed, event.name)
        if isinstance(event, Comeback):
            return Call(household, event, copies, self._requests.bring_back(event))
        return Call(household, event, copies, self._sale(household, event))

    def _sale(self, household: Household, header: Header) -> OperationRequest:
        offline = self._rules is Rules.RICH and is_offline(self._seed, header.basket_id)
        if not household.redeems:
            return self._requests.accrue(header, is_offline=offline)
        redeem_points = choose_redeem_points(
            self._seed, header.basket_id, household.standing.available_points, header.total_minor
        )
        return self._requests.checkout(header, redeem_points, is_offline=offline)

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
        """Log it, and let the household's next call be due."""
        self.log.append(_log_entry(call, self._rules))
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


def _log_entry(call: Call, rules: Rules) -> LogEntry:
    """Raises ReplayError if the call was refused for anything that is no part of the replay."""
    answer, event, household = call.answers[0], call.event, call.household
    reason = answer.reason()
    if reason and reason not in rules.expected_refusals:
        raise ReplayError(f"receipt {event.basket_id} was refused: {reason}")
    recorded_at_us, told = 0, told_by_refusal(reason, household.standing)
    if not reason:
        operation = answer.operation()
        household.standing = standing_of(operation)
        recorded_at_us, told = operation.recorded_at.ToMicroseconds(), told_by(operation)
    return LogEntry(
        basket_id=event.basket_id,
        return_number=event.return_number,
        household_id=event.household_id,
        position=household.position,
        occurred_at_us=event.occurred_at_us,
        recorded_at_us=recorded_at_us,
        is_offline=call.request.offline,
        redeem_points=call.request.checkout.redeem_points,
        returned=_returned(event),
        copies=call.copies,
        repeats=call.repeats,
        replays=sum(answer.replayed for answer in call.answers),
        answers_equal=len({(answer.code, answer.body) for answer in call.answers}) == 1,
        **told._asdict(),
    )


def _returned(event: Event) -> str:
    return ",".join(f"{line}:{milli}" for line, milli in event.lines) if isinstance(event, Comeback) else ""
