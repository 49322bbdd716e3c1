"""One client of the model test: turns wants into requests, predicts every reply, sends and checks."""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    CheckoutRequest,
    GetBalanceRequest,
    RedeemRequest,
)
from tests.acceptance.check import check
from tests.acceptance.intents import (
    LONG_AGO,
    OUT_OF_WINDOW,
    Batch,
    Change,
    Intent,
    Invalid,
    LookUp,
    New,
    ReadBalance,
    ReadHistory,
    Repeat,
    Step,
    Stream,
)
from tests.acceptance.model import Expected, Model, Write
from tests.client import Answer, Till

REQUEST_TYPES: Final[dict[str, type[Write]]] = {
    "accrue": AccrueRequest,
    "redeem": RedeemRequest,
    "checkout": CheckoutRequest,
}


class Player:
    """A client with members and keys of its own. `member_ids` ends with one that does not exist."""

    def __init__(self, model: Model, name: str, member_ids: Sequence[int], cards: Mapping[int, str]) -> None:
        self.model = model
        self.member_ids = member_ids
        self.sent = 0
        self._cards = cards
        self._keys = (f"{name}-{number}" for number in itertools.count(1))
        self._past: list[Write] = []

    async def play(self, till: Till, script: Sequence[Step]) -> None:
        """Do one step after the other, and check every reply."""
        for step in script:
            match step:
                case Batch(wants):
                    await self._batch(till, self.resolve(wants))
                case Stream(messages):
                    await self._stream(till, [self.resolve(wants) for wants in messages])
                case LookUp(target):
                    key = self._past[-1 - target].idempotency_key if target < len(self._past) else "no such"
                    check(self.model.find(key), await till.get_operation(key))
                case ReadBalance(member, by_card):
                    await self._read_balance(till, self.member_ids[member], by_card=by_card)
                case ReadHistory(member, page_size):
                    await self.read_history(till, self.member_ids[member], page_size)
                case _:
                    for request in self.resolve([step]):
                        await self._write(till, request)

    async def _write(self, till: Till, request: Write) -> None:
        expected = self.model.apply(request)
        check(expected, await till.write(request))

    async def _batch(self, till: Till, requests: Sequence[Write]) -> None:
        if not requests:
            return
        expected = [self.model.apply(request) for request in requests]
        for prediction, answer in zip(expected, await till.batch(requests), strict=True):
            check(prediction, answer)

    async def _stream(self, till: Till, messages: Sequence[Sequence[Write]]) -> None:
        """Responses may come in any order; each answers one message, in that message's order.

        Messages under way together are as concurrent calls, so those that a card or a key ties go one by one.
        """
        messages = [message for message in messages if message]
        if _are_tied(messages):
            for message in messages:
                await self._stream_at_once(till, [message])
        else:
            await self._stream_at_once(till, messages)

    async def _stream_at_once(self, till: Till, messages: Sequence[Sequence[Write]]) -> None:
        predictions = [[(r.idempotency_key, self.model.apply(r)) for r in message] for message in messages]
        responses = await till.stream(messages)
        assert len(responses) == len(messages)
        for prediction in predictions:
            response = _response_to(prediction, responses)
            responses.remove(response)
            for (_, expected), (_, answer) in zip(prediction, response, strict=True):
                check(expected, answer)

    async def _read_balance(self, till: Till, member_id: int, *, by_card: bool) -> None:
        member = {"card": self._cards[member_id]} if by_card else {"member_id": member_id}
        balance = await till.read_balance(GetBalanceRequest(**member))
        assert (balance.member_id, balance.balance_points, balance.member_sequence) == (
            member_id,
            self.model.balances[member_id],
            len(self.model.histories[member_id]),
        )

    async def read_history(self, till: Till, member_id: int, page_size: int = 0) -> None:
        found = await till.operations(member_id, page_size)
        expected = self.model.history(member_id)
        assert [key for key, _ in found] == [key for key, _ in expected]
        for (_, answer), (_, prediction) in zip(found, expected, strict=True):
            check(prediction, answer)

    # --- from wants to requests ---------------------------------------------------------------------

    def resolve(self, wants: Sequence[Intent]) -> list[Write]:
        """The requests of these wants; wants that refer to a call that was never made give none."""
        requests = [request for want in wants for request in self._resolve_one(want)]
        self.sent += len(requests)
        return requests

    def _resolve_one(self, want: Intent) -> Iterator[Write]:
        if isinstance(want, New):
            self._past.append(self._new(want))
            yield self._past[-1]
        elif want.target < len(self._past):
            yield self._again(self._past[-1 - want.target], want)

    def _new(self, want: New) -> Write:
        member_id = self.member_ids[want.member]
        is_known = member_id in self._cards
        member = (
            {"card": self._cards.get(member_id, "no such card")} if want.by_card else {"member_id": member_id}
        )
        fields = {
            **member,
            "idempotency_key": next(self._keys),
            "occurred_at": _ago(want.age_seconds),
            "store_id": "store-1",
            "terminal_id": "till-1" if is_known else "",
            "receipt": _receipt(want.total_minor, want.cuts),
        }
        if want.kind != "accrue":
            fields["redeem_points"] = want.redeem_points
        return REQUEST_TYPES[want.kind](**fields)  # type: ignore[arg-type]

    def _again(self, past: Write, want: Repeat | Change | Invalid) -> Write:
        match want:
            case Change(_, field):
                return changed(past, field, self.member_ids[0], self._cards[self.member_ids[0]])
            case Invalid():
                return _copy(past, store_id="")
        return past


def changed(past: Write, field: str, member_id: int, card: str) -> Write:
    """The same call, still valid, with another value in one field, if it has that field."""
    others: dict[str, dict[str, object]] = {
        "member": {"member_id": member_id},
        "card": {"card": card},
        "occurred_at": {"occurred_at": _later(past.occurred_at, 1_000)},
        "another month": {"occurred_at": _ago(LONG_AGO[0])},
        "out of window": {"occurred_at": _ago(OUT_OF_WINDOW[0])},
        "store_id": {"store_id": "another"},
        "terminal_id": {"terminal_id": "another"},
    }
    if field == "kind":
        return _as_another_kind(past)
    if field == "redeem_points" and not isinstance(past, AccrueRequest):
        return _copy(past, redeem_points=past.redeem_points % 1_000_000_000_000 + 1)
    return _copy(past, **others.get(field, {"receipt": _changed_receipt(past.receipt, field)}))


def _changed_receipt(past: Receipt, field: str) -> Receipt:
    receipt = Receipt()
    receipt.CopyFrom(past)
    match field:
        case "receipt_id":
            receipt.receipt_id += "-another"
        case "total_minor" if not receipt.lines:
            receipt.total_minor = receipt.total_minor % 100_000_000_000 + 1
        case "lines" if receipt.lines:
            receipt.lines[0].sku += "-another"
        case "spelled out" if receipt.lines:
            # Unset means the same, so this is no change.
            receipt.lines[0].quantity_milli = 1_000
    return receipt


def _as_another_kind(past: Write) -> Write:
    fields = {field.name: value for field, value in past.ListFields()}
    fields.pop("redeem_points", None)
    if isinstance(past, AccrueRequest):
        return RedeemRequest(**fields, redeem_points=1)
    return AccrueRequest(**fields)


def _copy(past: Write, **fields: object) -> Write:
    """A copy with other values; `member_id` and `card` take each other's place."""
    kept = {field.name: value for field, value in past.ListFields()}
    if {"member_id", "card"} & fields.keys():
        kept.pop("member_id", None)
        kept.pop("card", None)
    return type(past)(**{**kept, **fields})


def _receipt(total_minor: int, cuts: Sequence[int]) -> Receipt:
    """Lines between the cuts, in thousandths of the total; none without cuts."""
    edges = [0, *sorted(total_minor * cut // 1_000 for cut in cuts), total_minor]
    lines = [
        LineItem(sku=f"sku-{number}", quantity_milli=number * 500, amount_minor=end - start)
        for number, (start, end) in enumerate(itertools.pairwise(edges))
    ]
    return Receipt(receipt_id="receipt-1", total_minor=total_minor, lines=lines if cuts else [])


def _ago(seconds: int) -> Timestamp:
    moment = Timestamp()
    moment.FromMicroseconds(time.time_ns() // 1_000 - seconds * 1_000_000)
    return moment


def _later(moment: Timestamp, nanoseconds: int) -> Timestamp:
    later = Timestamp()
    later.FromNanoseconds(moment.ToNanoseconds() + nanoseconds)
    return later


def _are_tied(messages: Sequence[Sequence[Write]]) -> bool:
    """Whether a key occurs in two messages, or a card may name a member of another message."""
    requests = [request for message in messages for request in message]
    keys = [key for message in messages for key in {request.idempotency_key for request in message}]
    return len(set(keys)) < len(keys) or any(r.WhichOneof("member") == "card" for r in requests)


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
