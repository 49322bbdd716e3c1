"""The test vectors for tills, sent to a real server whose clock they set."""

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import asyncpg
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1 import member_service_pb2 as members
from loyalty.v1 import operation_pb2 as operations
from loyalty.v1 import transaction_service_pb2 as transactions
from processor.domain.account import MemberStatus
from processor.domain.chain import Role
from storage.cards import add_card
from storage.directory import create_chain, create_key
from storage.members import set_member_status, set_segments
from storage.pool import connect
from tests.chains import Chain
from tests.client import Answer, Till, answers_of
from tests.clock import Clock
from tests.postgres import Server as Postgres
from tests.postgres import run
from tests.server import Server, serving
from tests.vector_cases import DEFAULT_AT, Case, Step, cases, differences, time_text, time_us, total_minor

CASES: Final = cases("service")
MEMBER: Final = 1
MEMBERS: Final = "loyalty.v1.MemberService"
# Before every time in the vectors.
EARLY_US: Final = time_us("2020-01-01T00:00:00Z")


class Call(NamedTuple):
    """A method of the contract, its messages and the request's fields that a step may set."""

    method: str
    request: type[Message]
    response: type[Message]
    fields: tuple[str, ...] = ()


PLACE: Final = ("store_id", "terminal_id")
SALE: Final = (*PLACE, "redeem_points", "reward_ids")
CALLS: Final = {
    "accrue": Call("Accrue", transactions.AccrueRequest, operations.Operation, PLACE),
    "redeem": Call("Redeem", transactions.RedeemRequest, operations.Operation, SALE),
    "checkout": Call("Checkout", transactions.CheckoutRequest, operations.Operation, SALE),
    "hold": Call("Hold", transactions.HoldRequest, operations.Operation, (*PLACE, "points", "hold_seconds")),
    "capture": Call("Capture", transactions.CaptureRequest, operations.Operation, (*PLACE, "points")),
    "void": Call("Void", transactions.VoidRequest, operations.Operation, PLACE),
    "reverse": Call("Reverse", transactions.ReverseRequest, operations.Operation, PLACE),
    "return": Call("Return", transactions.ReturnRequest, operations.Operation, PLACE),
    "adjust": Call("Adjust", transactions.AdjustRequest, operations.Operation, ("points",)),
    "quote": Call("Quote", transactions.QuoteRequest, transactions.QuoteResponse, SALE),
    "balance": Call("GetBalance", transactions.GetBalanceRequest, transactions.Balance),
}
UNKEYED: Final = {"quote", "balance"}
CARD_CALLS: Final = {
    "block_card": ("BlockCard", members.BlockCardRequest),
    "unblock_card": ("UnblockCard", members.UnblockCardRequest),
    "replace_card": ("ReplaceCard", members.ReplaceCardRequest),
}


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock") / "now", EARLY_US)


@pytest.fixture(scope="module")
def vector_dsn(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def chains(vector_dsn: str) -> dict[str, Chain]:
    """A chain for each case, by the case's name: made before the server starts, which then knows them."""
    return run(_make_chains(vector_dsn))


@pytest.fixture(scope="module")
def vector_server(vector_dsn: str, clock: Clock, chains: dict[str, Chain]) -> Iterator[Server]:
    with serving(vector_dsn, workers=1, test_clock=clock.file, due_interval_seconds=3600) as server:
        yield server


async def _make_chains(dsn: str) -> dict[str, Chain]:
    connection = await connect(dsn)
    try:
        async with connection.transaction():
            return {
                case.name: await _make_chain(connection, dsn, f"vector-{number}", case)
                for number, case in enumerate(CASES)
            }
    finally:
        await connection.close()


async def _make_chain(connection: asyncpg.Connection, dsn: str, name: str, case: Case) -> Chain:
    (_, first), *later = case.programs
    chain_id = await create_chain(connection, name, document=first)
    await connection.execute("UPDATE program SET effective_from = $2 WHERE chain_id = $1", chain_id, EARLY_US)
    for version, (from_us, document) in enumerate(later, start=2):
        await connection.execute(
            "INSERT INTO program (chain_id, version, effective_from, document) VALUES ($1, $2, $3, $4)",
            *(chain_id, version, from_us, json.dumps(document)),
        )
    await connection.execute("INSERT INTO account (chain_id, member_id) VALUES ($1, $2)", chain_id, MEMBER)
    for card in case.member.get("cards", ()):
        await add_card(connection, chain_id, MEMBER, card)
    await set_segments(connection, chain_id, {MEMBER: set(case.member.get("segments", ()))})
    return Chain(dsn, chain_id, name, await create_key(connection, chain_id, "vectors", Role.OPERATOR))


class Service:
    """A member of a case's chain, behind the server."""

    def __init__(self, till: Till, chain: Chain) -> None:
        self._till = till
        self._chain = chain
        self._tokens: dict[str, str] = {}

    async def answer(self, number: int, step: Step) -> dict[str, Any]:
        """Do one step."""
        name = step["call"]
        if name == "close_member":
            return await self._close()
        if name in CARD_CALLS:
            method, request_type = CARD_CALLS[name]
            names = {field: step[field] for field in ("card", "new_card") if field in step}
            answer = await self._till.call(method, request_type(**names).SerializeToString(), service=MEMBERS)
            return _plain(answer, members.Member)
        key = step.get("id", f"step-{number}")
        request = ParseDict(self._request(key, step), CALLS[name].request())
        if step.get("offline"):
            return _plain(await self._offline(name, request), CALLS[name].response)
        answer = await self._till.call(CALLS[name].method, request.SerializeToString())
        told = _plain(answer, CALLS[name].response)
        self._tokens[key] = told.get("quote_token", "")
        return told

    async def _close(self) -> dict[str, Any]:
        connection = await connect(self._chain.dsn)
        try:
            await set_member_status(connection, self._chain.chain_id, MEMBER, MemberStatus.CLOSED)
        finally:
            await connection.close()
        return {"outcome": "APPLIED"}

    async def _offline(self, name: str, request: Message) -> Answer:
        fields: dict[str, Any] = {name: request}
        operation = transactions.OperationRequest(**fields, offline=True)
        batch = transactions.ProcessBatchRequest(operations=[operation])
        answer = await self._till.call("ProcessBatch", batch.SerializeToString())
        [only] = answers_of(answer.body)
        return only

    def _request(self, key: str, step: Step) -> dict[str, Any]:
        """The request as JSON of the contract."""
        name = step["call"]
        fields = {field: step[field] for field in CALLS[name].fields if field in step}
        named: dict[str, Any] = {who: step[who] for who in ("card", "phone") if who in step}
        fields |= named or {"member_id": MEMBER}
        if name not in UNKEYED:
            occurred_at = step.get("occurred_at", step.get("at", DEFAULT_AT))
            fields |= {"idempotency_key": key, "occurred_at": occurred_at}
        if name == "adjust":
            return fields | {"reason": "ADJUSTMENT_REASON_COMPENSATION"}
        if name != "balance":
            fields = {"store_id": "store-1", "terminal_id": "terminal-1"} | fields
        if "receipt" in step:
            fields["receipt"] = _receipt(key, step["receipt"])
        if "of" in step:
            fields["original_idempotency_key"] = step["of"]
        if "returned" in step:
            fields["lines"] = [
                {"line_number": line["line"], "quantity_milli": line["quantity_milli"]}
                for line in step["returned"]
            ]
        if "quote" in step:
            fields["quote_token"] = self._tokens[step["quote"]]
        return fields


def _receipt(key: str, receipt: dict[str, Any]) -> dict[str, Any]:
    lines = [
        {"sku": f"sku-{number}", **line} for number, line in enumerate(receipt.get("lines", ()), start=1)
    ]
    return {"receipt_id": key, "total_minor": total_minor(receipt), "lines": lines}


def _plain(answer: Answer, response: type[Message]) -> dict[str, Any]:
    """The answer in plain values, as the vectors have it."""
    if answer.reason:
        return {"outcome": answer.reason, "details": dict(answer.metadata)}
    return {"outcome": "APPLIED", **_fields(response.FromString(answer.body))}


def _fields(message: Message) -> dict[str, Any]:
    return {
        field.name: _value(
            getattr(message, field.name), is_set=not field.has_presence or message.HasField(field.name)
        )
        for field in message.DESCRIPTOR.fields
    }


def _value(value: Any, *, is_set: bool) -> object:
    match value:
        case Message() if not is_set:
            return None
        case Timestamp():
            return time_text(value.ToMicroseconds())
        case Message():
            return _fields(value)
        case str() | int() | bool():
            return value
    return [_value(item, is_set=True) for item in value]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_service_gives_what_the_vector_says(
    case: Case, vector_server: Server, chains: dict[str, Chain], clock: Clock
) -> None:
    chain = chains[case.name]
    async with Till(vector_server.address, chain.api_key) as till:
        service = Service(till, chain)
        for number, step in enumerate(case.steps):
            clock.set(time_us(step.get("at", DEFAULT_AT)))
            answer = await service.answer(number, step)
            found = differences(step.get("expect", {}), answer)
            assert not found, f"step {number} ({step['call']}): expected and answered: {found}\n{case.why}"
