"""The methods as a till sees them, over a real connection."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from loyalty.v1.operation_pb2 import Operation
from loyalty.v1.transaction_service_pb2 import (
    GetBalanceRequest,
    GetOperationRequest,
    ListOperationsRequest,
    OperationRequest,
    ProcessBatchRequest,
)
from processor.domain.account import Account
from processor.domain.command import NO_RECEIPT, Command, Kind, LineItem, Receipt, ReturnedLine
from processor.domain.failures import StorageUnavailable
from processor.domain.operation import Recorded
from processor.domain.outcomes import Outcome
from processor.rpc.status import ANSWERS
from tests.unit.rpc_harness import (
    AUTHORIZATION,
    OPERATOR_AUTHORIZATION,
    Harness,
    applied,
    failure,
    failure_of,
    refused,
    running,
)
from tests.unit.rpc_requests import WRITES, accrue_request, adjust_request, checkout_request, redeem_request

pytestmark = pytest.mark.usefixtures("rpc_transport")

AUTH = (AUTHORIZATION,)


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    async with running() as harness:
        yield harness


LINES = (LineItem("milk", 2000, 700, "dairy", "acme"), LineItem("bread", 1000, 300, ""))
SALE = Command(
    Kind.ACCRUE, "k-1", 1, "", 1_760_000_000_123_456, "store-1", "till-2", Receipt("r-1", 1000, LINES), 0
)
BARE = SALE._replace(receipt=NO_RECEIPT)
RETURNED = (ReturnedLine(1, 1000), ReturnedLine(500, 1))
QUOTE = "AWFsbA=="
COMMANDS = {
    "Accrue": SALE,
    "Redeem": SALE._replace(kind=Kind.REDEEM, idempotency_key="k-2", redeem_points=5),
    "Checkout": SALE._replace(kind=Kind.CHECKOUT, idempotency_key="k-3", redeem_points=5),
    "Hold": BARE._replace(kind=Kind.HOLD, idempotency_key="k-4", points=40, hold_seconds=3600),
    "Capture": BARE._replace(kind=Kind.CAPTURE, idempotency_key="k-5", original_key="k-4", points=30),
    "Void": BARE._replace(kind=Kind.VOID, idempotency_key="k-6", original_key="k-4"),
    "Reverse": BARE._replace(kind=Kind.REVERSE, idempotency_key="k-7", original_key="k-3"),
    "Return": BARE._replace(kind=Kind.RETURN, idempotency_key="k-8", original_key="k-3", returned=RETURNED),
    "Adjust": BARE._replace(
        kind=Kind.ADJUST, idempotency_key="k-9", store_id="", terminal_id="", points=-20, reason="SURVEY"
    ),
}


@pytest.mark.parametrize("method", WRITES)
async def test_a_request_becomes_a_command_with_every_field(rpc: Harness, method: str) -> None:
    reply = await rpc.call(method, WRITES[method]().SerializeToString(), metadata=(OPERATOR_AUTHORIZATION,))
    assert rpc.queue.submitted == [COMMANDS[method]]
    assert Kind(Operation.FromString(reply).kind) is COMMANDS[method].kind


async def test_rewards_a_quote_and_a_phone_are_handed_on(rpc: Harness) -> None:
    checkout = checkout_request()
    checkout.reward_ids.extend(["ten-percent", "mug"])
    checkout.quote_token = QUOTE
    checkout.phone = "+491701234567"
    await rpc.stub.Checkout(checkout, metadata=AUTH)
    redeem = redeem_request()
    redeem.redeem_points = 0
    redeem.reward_ids.append("mug")
    await rpc.stub.Redeem(redeem, metadata=AUTH)
    assert rpc.queue.submitted == [
        COMMANDS["Checkout"]._replace(
            member_id=0, card="+491701234567", reward_ids=("ten-percent", "mug"), quote_token=QUOTE
        ),
        COMMANDS["Redeem"]._replace(redeem_points=0, reward_ids=("mug",)),
    ]


@pytest.mark.parametrize("authorization", [AUTHORIZATION, OPERATOR_AUTHORIZATION])
async def test_a_batch_takes_every_kind_and_adjustments_from_operators_alone(
    rpc: Harness, authorization: tuple[str, str]
) -> None:
    kinds = ["accrue", "redeem", "checkout", "hold", "capture", "void", "reverse", "return_goods", "adjust"]
    items = [OperationRequest(**{kind: make()}) for kind, make in zip(kinds, WRITES.values(), strict=True)]
    response = await rpc.stub.ProcessBatch(batch(*items), metadata=(authorization,))
    is_operator = authorization == OPERATOR_AUTHORIZATION
    assert rpc.queue.submitted == list(COMMANDS.values())[: 9 if is_operator else 8]
    assert [result.idempotency_key for result in response.results] == [f"k-{i}" for i in range(1, 10)]
    if not is_operator:
        failed = failure_of(response.results[-1].error)
        assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")


async def test_a_till_may_not_adjust(rpc: Harness) -> None:
    failed = await failure(rpc.stub.Adjust(adjust_request(), metadata=AUTH))
    assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    assert not rpc.queue.submitted


async def test_a_sale_may_have_been_made_offline(rpc: Harness) -> None:
    items = [
        OperationRequest(accrue=accrue_request(), offline=True),
        OperationRequest(accrue=accrue_request()),
    ]
    await rpc.stub.ProcessBatch(batch(*items), metadata=AUTH)
    assert rpc.queue.submitted == [SALE._replace(offline=True), SALE]


async def test_a_reply_is_the_stored_bytes(rpc: Harness) -> None:
    sent = await rpc.call("Accrue", accrue_request().SerializeToString())
    assert sent == applied(rpc.queue.submitted[0]).body


async def test_a_replay_is_told_in_trailing_metadata(rpc: Harness) -> None:
    first = rpc.stub.Accrue(accrue_request(), metadata=AUTH)
    assert "loyalty-replayed" not in dict(await first.trailing_metadata())
    rpc.queue.answer = lambda command: applied(command)._replace(replayed=True)
    again = rpc.stub.Accrue(accrue_request(), metadata=AUTH)
    assert dict(await again.trailing_metadata())["loyalty-replayed"] == "true"
    assert await first == await again


@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.APPLIED])
async def test_a_refusal_carries_the_very_status_that_is_stored(
    rpc: Harness,
    outcome: Outcome,
    replayed: bool,  # noqa: FBT001
) -> None:
    reply = refused(outcome, replayed=replayed, balance_points=4)
    rpc.queue.answer = lambda _: reply
    failed = await failure(rpc.stub.Redeem(redeem_request(), metadata=AUTH))
    assert (failed.code, failed.reason) == (ANSWERS[outcome].code, outcome.name)
    assert failed.trailing["grpc-status-details-bin"] == reply.body
    assert failed.metadata == {"balance_points": "4"}
    assert failed.retry_ms == ANSWERS[outcome].retry_ms
    assert failed.trailing.get("loyalty-replayed") == ("true" if replayed else None)


async def test_the_callers_deadline_is_handed_on(rpc: Harness) -> None:
    loop = asyncio.get_running_loop()
    await rpc.stub.Accrue(accrue_request(), metadata=AUTH)
    now = loop.time()
    await rpc.stub.Accrue(accrue_request(), metadata=AUTH, timeout=6000)
    assert rpc.queue.deadlines[0] == math.inf
    # The wire rounds a long timeout up.
    assert now + 5900 < rpc.queue.deadlines[1] < now + 6100


async def test_a_cancelled_call_reaches_the_queue_as_a_cancellation(rpc: Harness) -> None:
    cancelled = asyncio.Event()
    waiting = rpc.queue.is_open.wait

    async def wait() -> bool:
        try:
            return await waiting()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    rpc.queue.is_open.clear()
    rpc.queue.is_open.wait = wait  # type: ignore[assignment,method-assign]
    call = rpc.stub.Accrue(accrue_request(), metadata=AUTH)
    await rpc.queue.arrival(1)
    call.cancel()
    await cancelled.wait()


def batch(*requests: OperationRequest) -> ProcessBatchRequest:
    return ProcessBatchRequest(operations=requests)


async def test_a_batch_answers_each_item_in_order_and_submits_once(rpc: Harness) -> None:
    rpc.queue.answer = lambda command: (
        refused(Outcome.INSUFFICIENT_POINTS) if command.kind is Kind.REDEEM else applied(command)
    )
    invalid = accrue_request("bad")
    invalid.receipt.total_minor = -1
    response = await rpc.stub.ProcessBatch(
        batch(
            OperationRequest(accrue=accrue_request("a")),
            OperationRequest(accrue=invalid),
            OperationRequest(redeem=redeem_request("b")),
            OperationRequest(),
            OperationRequest(checkout=checkout_request("a")),
        ),
        metadata=AUTH,
    )
    assert len(rpc.queue.deadlines) == 1
    assert [command.idempotency_key for command in rpc.queue.submitted] == ["a", "b", "a"]
    assert [result.idempotency_key for result in response.results] == ["a", "bad", "b", "", "a"]
    kinds = [result.WhichOneof("outcome") for result in response.results]
    assert kinds == ["operation", "error", "error", "error", "operation"]
    errors = [failure_of(result.error) for result in response.results if result.HasField("error")]
    assert [error.reason for error in errors] == ["INVALID_REQUEST", "INSUFFICIENT_POINTS", "INVALID_REQUEST"]
    assert [field for error in errors for field, _ in error.violations] == ["receipt.total_minor", "request"]


async def test_a_batch_of_invalid_items_submits_nothing(rpc: Harness) -> None:
    response = await rpc.stub.ProcessBatch(batch(*[OperationRequest()] * 1000), metadata=AUTH)
    assert len(response.results) == 1000
    assert not rpc.queue.submitted


@pytest.mark.parametrize("outcome", [Outcome.QUEUE_FULL, Outcome.SHUTTING_DOWN])
async def test_a_batch_that_is_not_taken_on_fails_as_a_whole(rpc: Harness, outcome: Outcome) -> None:
    rpc.queue.answer = lambda _: refused(outcome)
    items = batch(OperationRequest(), OperationRequest(accrue=accrue_request()))
    failed = await failure(rpc.stub.ProcessBatch(items, metadata=AUTH))
    assert (failed.reason, failed.retry_ms) == (outcome.name, ANSWERS[outcome].retry_ms)


@pytest.mark.parametrize("size", [0, 1001])
async def test_a_batch_of_a_wrong_size_is_refused_whole(rpc: Harness, size: int) -> None:
    items = batch(*[OperationRequest(accrue=accrue_request())] * size)
    failed = await failure(rpc.stub.ProcessBatch(items, metadata=AUTH))
    assert failed.violations == [("operations", f"must be 1 to 1000, not {size}")]
    assert not rpc.queue.submitted


APPLIED = applied(Command(Kind.ACCRUE, "k", 1, "", 1, "s", "", Receipt("r", 1, ()), 0))
RECORDED = Recorded(Outcome.APPLIED, b"", APPLIED.body, b"", 0)
REFUSED = Recorded(Outcome.INSUFFICIENT_POINTS, b"", refused(Outcome.INSUFFICIENT_POINTS).body, b"", 0)


async def test_get_operation_answers_from_the_ledger(rpc: Harness) -> None:
    rpc.reader.known = [(1, "yes", RECORDED), (2, "no", REFUSED)]
    yes = await rpc.stub.GetOperation(GetOperationRequest(idempotency_key="yes"), metadata=AUTH)
    no = await rpc.stub.GetOperation(GetOperationRequest(idempotency_key="no"), metadata=AUTH)
    assert yes.operation.SerializeToString() == RECORDED.response
    assert failure_of(no.error).reason == "INSUFFICIENT_POINTS"
    assert (yes.replayed, no.replayed, yes.idempotency_key, no.idempotency_key) == (True, True, "yes", "no")
    other = rpc.stub.GetOperation(GetOperationRequest(idempotency_key="other"), metadata=AUTH)
    assert (await failure(other)).reason == "OPERATION_NOT_FOUND"


async def pages(rpc: Harness, page_size: int) -> list[list[str]]:
    found, token = [], ""
    while True:
        request = ListOperationsRequest(member_id=5, page_size=page_size, page_token=token)
        page = await rpc.stub.ListOperations(request, metadata=AUTH)
        found.append([result.idempotency_key for result in page.results])
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize(
    "page_size, sizes",
    [(0, [50, 50, 20]), (1, [1] * 120), (40, [40, 40, 40]), (119, [119, 1]), (2_000_000_000, [120])],
)
async def test_pages_hold_every_operation_once_the_newest_first(
    rpc: Harness, page_size: int, sizes: list[int]
) -> None:
    rpc.reader.known_account = Account(5, 70, 120, b"")
    rpc.reader.known = [(number, f"k{number}", RECORDED) for number in range(1, 121)]
    found = await pages(rpc, page_size)
    assert [len(page) for page in found] == sizes
    assert [key for page in found for key in page] == [f"k{number}" for number in range(120, 0, -1)]


async def test_a_member_without_operations_has_one_empty_page(rpc: Harness) -> None:
    rpc.reader.known_account = Account(5, 0, 0, b"")
    assert await pages(rpc, 0) == [[]]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "garbage",
        lambda _: "Ж",
        lambda token: token[:-1] + "A",
        lambda token: token + "AAAA",
        lambda _: "AAAA" * 9,
    ],
)
async def test_a_spoilt_page_token_is_refused(rpc: Harness, spoil: Any) -> None:
    rpc.reader.known_account = Account(5, 70, 3, b"")
    rpc.reader.known = [(number, f"k{number}", RECORDED) for number in range(1, 4)]
    first = await rpc.stub.ListOperations(ListOperationsRequest(member_id=5, page_size=1), metadata=AUTH)
    request = ListOperationsRequest(member_id=5, page_token=spoil(first.next_page_token))
    failed = await failure(rpc.stub.ListOperations(request, metadata=AUTH))
    assert [field for field, _ in failed.violations] == ["page_token"]


async def test_a_page_token_of_another_member_is_refused(rpc: Harness) -> None:
    rpc.reader.known_account = Account(5, 70, 3, b"")
    rpc.reader.known = [(number, f"k{number}", RECORDED) for number in range(1, 4)]
    first = await rpc.stub.ListOperations(ListOperationsRequest(member_id=5, page_size=1), metadata=AUTH)
    rpc.reader.known_account = Account(6, 70, 3, b"")
    request = ListOperationsRequest(member_id=6, page_token=first.next_page_token)
    failed = await failure(rpc.stub.ListOperations(request, metadata=AUTH))
    assert [field for field, _ in failed.violations] == ["page_token"]


async def test_a_read_without_its_database_is_unavailable(
    rpc: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*_: object) -> None:
        raise StorageUnavailable("no route")

    monkeypatch.setattr(rpc.reader, "holder", unreachable)
    failed = await failure(rpc.stub.GetBalance(GetBalanceRequest(member_id=5), metadata=AUTH))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
    assert failed.retry_ms


async def test_a_defect_is_an_internal_error_whose_request_id_is_logged(
    rpc: Harness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object) -> Any:
        raise ZeroDivisionError("a secret of the server")

    monkeypatch.setattr(rpc.queue, "offer", defect)
    failed = await failure(rpc.stub.Accrue(accrue_request(), metadata=AUTH))
    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
    assert b"secret" not in failed.body
    assert failed.metadata["request_id"] in capsys.readouterr().out
