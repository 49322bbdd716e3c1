"""One client of the model test: predicts every reply to its calls, sends them and checks."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from loyalty.v1.transaction_service_pb2 import (
    AdjustRequest,
    CheckoutRequest,
    GetBalanceRequest,
    OperationRequest,
)
from tests.acceptance.check import check, check_balance, check_member, check_quote
from tests.acceptance.composer import Composer
from tests.acceptance.intents import (
    Adjust,
    Agreement,
    AtDesk,
    Batch,
    Hold,
    Intent,
    LetRunOut,
    LookUp,
    Presume,
    Quote,
    ReadBalance,
    ReadHistory,
    Sale,
    Step,
    Stream,
    Who,
)
from tests.acceptance.reckoning.chain import Model
from tests.acceptance.reckoning.replies import Expected, Outcome
from tests.client import Answer, Till, write_of

_HOLD_SECONDS: Final = 1
_HOLD_IS_OVER_SECONDS: Final = 1.3
_HOUR_SECONDS: Final = 3_600
# Nothing is asked so shortly before an hour, a day or a month ends: who could say in which it is answered?
_CALM_SECONDS: Final = 3


async def calm() -> None:
    """Wait until the hour has changed if it is about to."""
    left_seconds = _HOUR_SECONDS - time.time() % _HOUR_SECONDS
    if left_seconds < _CALM_SECONDS:
        await asyncio.sleep(left_seconds + 0.1)


async def send(till: Till, call: OperationRequest) -> Answer:
    """One call; what was done offline goes as a batch."""
    if not call.offline:
        return await till.write(write_of(call))
    [answer] = await till.batch([call])
    return answer


class Player:
    """A client with members and keys of its own; the last two of its members are closed and unknown."""

    def __init__(self, model: Model, name: str, member_ids: Sequence[int]) -> None:
        self.model = model
        self.member_ids = member_ids
        self.sent = 0
        self._composer = Composer(name, member_ids)

    def resolve(self, wants: Sequence[Intent]) -> list[OperationRequest]:
        """The requests of these wants."""
        requests = self._composer.resolve(wants)
        self.sent += len(requests)
        return requests

    async def play(self, till: Till, simple_till: Till, script: Sequence[Step]) -> None:
        """Do one step after the other, and check every reply; `simple_till` is not the operator's."""
        for step in script:
            await calm()
            match step:
                case Batch(wants):
                    await self._batch(till, self.resolve(wants))
                case Stream(messages):
                    await self._stream(till, [self.resolve(wants) for wants in messages])
                case Quote(sale):
                    await self._quote(till, sale)
                case Agreement():
                    await self._agree(till, step)
                case AtDesk():
                    await self._at_desk(till, step)
                case LetRunOut(who, points):
                    await self._let_run_out(till, who, points)
                case Presume(adjust):
                    await self._presume(simple_till, adjust)
                case LookUp() | ReadBalance() | ReadHistory():
                    await self._read(till, step)
                case _:
                    await self._write(till, self.resolve([step]))

    async def _write(self, till: Till, calls: Sequence[OperationRequest]) -> None:
        for call in calls:
            expected = self.model.apply(call)
            check(expected, await send(till, call))

    async def _batch(self, till: Till, calls: Sequence[OperationRequest]) -> None:
        if not calls:
            return
        expected = [self.model.apply(call) for call in calls]
        for prediction, answer in zip(expected, await till.batch(calls), strict=True):
            check(prediction, answer)

    async def _stream(self, till: Till, messages: Sequence[Sequence[OperationRequest]]) -> None:
        """Responses may come in any order; each answers one message, in that message's order.

        Messages under way together are as concurrent calls, so those that a card or a key ties go one by one.
        """
        messages = [message for message in messages if message]
        if _are_tied(messages):
            for message in messages:
                await self._stream_at_once(till, [message])
        else:
            await self._stream_at_once(till, messages)

    async def _stream_at_once(self, till: Till, messages: Sequence[Sequence[OperationRequest]]) -> None:
        predictions = [
            [(write_of(call).idempotency_key, self.model.apply(call)) for call in message]
            for message in messages
        ]
        responses = await till.stream(messages)
        assert len(responses) == len(messages)
        for prediction in predictions:
            response = _response_to(prediction, responses)
            responses.remove(response)
            for (_, expected), (_, answer) in zip(prediction, response, strict=True):
                check(expected, answer)

    # --- quotes ---

    async def _quote(self, till: Till, sale: Sale) -> str:
        """The token, and what it stands for is noted; empty if the checkout would be refused."""
        request = self._composer.quote(sale)
        outcome = self.model.quote(request)
        token = check_quote(outcome, await till.quote(request))
        if token:
            self.model.promises.note(token, request, outcome.content)
        return token

    async def _agree(self, till: Till, want: Agreement) -> None:
        token = await self._quote(till, want.sale)
        await self._write(till, self.resolve(want.meanwhile))
        [call] = self.resolve([want.sale])
        checkout: CheckoutRequest = call.checkout
        checkout.quote_token = "nonsense" if want.altered == "token" else token
        if want.altered == "request":
            # The most that can be asked for stays a valid request.
            checkout.redeem_points += -1 if checkout.redeem_points else 1
        await self._write(till, [call])

    # --- cards ---

    async def _at_desk(self, till: Till, want: AtDesk) -> None:
        request = self._composer.at_desk(want)
        check_member(self.model.desk.apply(request), await till.at_desk(request))

    # --- what takes its time, and what is not allowed ---

    async def _let_run_out(self, till: Till, who: Who, points: int) -> None:
        [call] = self.resolve([Hold(who, points, _HOLD_SECONDS, age_seconds=0)])
        await self._write(till, [call])
        if not self.model.find(call.hold.idempotency_key).outcome.reason:
            await asyncio.sleep(_HOLD_IS_OVER_SECONDS)

    async def _presume(self, simple_till: Till, want: Adjust) -> None:
        """Nothing is recorded, so its key stays free for whoever may."""
        [call] = self.resolve([want])
        adjust: AdjustRequest = call.adjust
        refused = Expected(Outcome("CALLER_NOT_ALLOWED", {}))
        check(refused, await simple_till.write(adjust))
        [answer] = await simple_till.batch([adjust])
        check(refused, answer)

    # --- reads ---

    async def _read(self, till: Till, step: LookUp | ReadBalance | ReadHistory) -> None:
        match step:
            case LookUp(target):
                await self._look_up(till, target)
            case ReadBalance(member, name):
                await self._read_balance(till, Who(member, name))
            case ReadHistory(member, page_size):
                await self.read_history(till, self.member_ids[member], page_size)

    async def _look_up(self, till: Till, target: int) -> None:
        past = self._composer.past
        key = write_of(past[-1 - target]).idempotency_key if target < len(past) else "no such"
        check(self.model.find(key), await till.get_operation(key))

    async def _read_balance(self, till: Till, who: Who) -> None:
        named: dict[str, object] = self._composer.named(who)
        balance = await till.read_balance(GetBalanceRequest(**named))  # type: ignore[arg-type]
        check_balance(self.model.balance(self.member_ids[who.member]), balance, self.model.entries)

    async def read_everything(self, till: Till, known: int) -> None:
        """The first so many members' balances and histories."""
        await calm()
        for number in range(known):
            await self._read_balance(till, Who(number, "member_id"))
            await self.read_history(till, self.member_ids[number])

    async def read_history(self, till: Till, member_id: int, page_size: int = 0) -> None:
        found = await till.operations(member_id, page_size)
        expected = self.model.history(member_id)
        assert [key for key, _ in found] == [key for key, _ in expected]
        for (_, answer), (_, prediction) in zip(found, expected, strict=True):
            check(prediction, answer)


def _are_tied(messages: Sequence[Sequence[OperationRequest]]) -> bool:
    """Whether a key occurs in two messages, or a card may name a member of another message."""
    requests = [[write_of(call) for call in message] for message in messages]
    keys = [key for message in requests for key in {request.idempotency_key for request in message}]
    names = {request.WhichOneof("member") for message in requests for request in message}
    return len(set(keys)) < len(keys) or names != {"member_id"}


def _response_to(
    prediction: Sequence[tuple[str, Expected]], responses: Sequence[list[tuple[str, Answer]]]
) -> list[tuple[str, Answer]]:
    """The response to that message: of those with its keys the one with its outcomes, or else any."""
    keys = [key for key, _ in prediction]
    wanted = [(expected.outcome.reason, expected.replayed) for _, expected in prediction]
    with_keys = [response for response in responses if [key for key, _ in response] == keys]
    exact = [
        response
        for response in with_keys
        if [(answer.reason, answer.replayed) for _, answer in response] == wanted
    ]
    assert with_keys, (prediction, responses)
    return [*exact, *with_keys][0]
