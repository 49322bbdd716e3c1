"""Bad input in every field: the field is named, and nothing is recorded."""

import random
from collections.abc import Callable
from typing import Any, Final

import pytest

from loyalty.v1.error_reason_pb2 import ErrorReason
from loyalty.v1.operation_pb2 import LineItem
from loyalty.v1.transaction_service_pb2 import (
    GetBalanceRequest,
    GetOperationRequest,
    ListOperationsRequest,
    ProcessBatchRequest,
    ProcessBatchResponse,
)
from tests.chains import Chain
from tests.client import Till, answer_of, operation_request
from tests.requests import Write, accrue, ago, checkout, redeem

pytestmark = pytest.mark.xdist_group("server")

Request = Any
UNPRINTABLE: Final = ("a\tb", "a\nb", "a\0b", "a\u2028b", "a\u200bb", "\x7f")
INT64_MAX: Final = 2**63 - 1


def setting(field: str, *values: object) -> list[tuple[str, Callable[[Request], None]]]:
    """Each value in turn in a field named as the violation names it: `a.b` or `a.b[1].c`."""

    def put(request: Request, value: object) -> None:
        *path, name = field.replace("[1]", ".1").split(".")
        for step in path:
            request = request[int(step)] if step.isdigit() else getattr(request, step)
        setattr(request, name, value)

    return [(field, lambda request, value=value: put(request, value)) for value in values]  # type: ignore[misc]


def clearing(field: str, reported: str = "") -> tuple[str, Callable[[Request], None]]:
    return reported or field, lambda request: request.ClearField(field)


def at(seconds: int, nanos: int = 0) -> Callable[[Request], None]:
    def put(request: Request) -> None:
        request.occurred_at.seconds, request.occurred_at.nanos = seconds, nanos

    return put


def with_lines(*amounts: int) -> Callable[[Request], None]:
    def put(request: Request) -> None:
        del request.receipt.lines[:]
        request.receipt.lines.extend(LineItem(sku="sku", amount_minor=amount) for amount in amounts)

    return put


NOW_SECONDS: Final = ago(0).seconds
BAD: Final = [
    *setting("idempotency_key", "", "k" * 65, *UNPRINTABLE),
    clearing("member_id", "member"),
    *setting("member_id", 0, -1, -(2**63)),
    *setting("card", "", "c" * 65, *UNPRINTABLE),
    clearing("occurred_at"),
    ("occurred_at", at(0)),
    ("occurred_at", at(-1)),
    ("occurred_at", at(946_684_799)),
    ("occurred_at", at(253_402_300_800)),
    ("occurred_at", at(INT64_MAX)),
    ("occurred_at", at(NOW_SECONDS, -1)),
    ("occurred_at", at(NOW_SECONDS, 1_000_000_000)),
    *setting("store_id", "", "s" * 65, *UNPRINTABLE),
    *setting("terminal_id", "t" * 65, *UNPRINTABLE),
    clearing("receipt"),
    *setting("receipt.receipt_id", "", "r" * 65, *UNPRINTABLE),
    *setting("receipt.total_minor", 0, -1, 100_000_000_001, INT64_MAX),
    ("receipt.lines", with_lines(*[20] * 501)),
    ("receipt.lines", with_lines(5_000, 4_999)),
    ("receipt.lines", with_lines(10_000, 10_000)),
    *setting("receipt.lines[1].sku", "", "s" * 65, *UNPRINTABLE),
    *setting("receipt.lines[1].quantity_milli", -1, 1_000_000_001, INT64_MAX),
    *setting("receipt.lines[1].amount_minor", -1, 100_000_000_001, INT64_MAX),
    *setting("receipt.lines[1].category", "c" * 65, *UNPRINTABLE),
]
BAD_REDEMPTIONS: Final = setting("redeem_points", -1, 1_000_000_000_001, INT64_MAX, -(2**63))


def spoiled(request: Write, spoil: Callable[[Request], None]) -> Write:
    with_lines(4_000, 6_000)(request)
    spoil(request)
    return request


async def test_every_bad_field_is_named_and_nothing_is_recorded(till: Till, chain: Chain) -> None:
    requests = [
        *((field, spoiled(make(), spoil)) for make in MAKERS for field, spoil in BAD),
        *((field, spoiled(make(), spoil)) for make in MAKERS[1:] for field, spoil in BAD_REDEMPTIONS),
        *((field, spoiled(redeem(1, 1, 10_000), spoil)) for field, spoil in setting("redeem_points", 0)),
    ]
    for field, request in requests:
        answer = await till.write(request)
        assert (answer.reason, set(answer.violations)) == ("INVALID_REQUEST", {field}), request
        assert all(answer.violations.values())
        assert field in answer.status.message
    answers = await till.batch([request for _, request in requests])
    assert [(a.reason, set(a.violations)) for a in answers] == [("INVALID_REQUEST", {f}) for f, _ in requests]
    assert await chain.operation_count() == 0


MAKERS: Final[list[Callable[[], Write]]] = [
    lambda: accrue(1),
    lambda: redeem(1, 1, 10_000),
    lambda: checkout(1, 1, 10_000),
]


async def test_all_bad_fields_of_a_request_are_named_at_once(till: Till, chain: Chain) -> None:
    answer = await till.write(redeem(0, 0, 0, idempotency_key="", store_id="\n", occurred_at=None))
    fields = {
        "idempotency_key",
        "member_id",
        "occurred_at",
        "store_id",
        "receipt.total_minor",
        "redeem_points",
    }
    assert (answer.reason, set(answer.violations)) == ("INVALID_REQUEST", fields)
    assert await chain.operation_count() == 0


@pytest.mark.parametrize(
    "field",
    ["idempotency_key", "card", "store_id", "terminal_id", "receipt.receipt_id", "receipt.lines[0].sku"],
)
async def test_text_that_is_not_utf8_is_refused_with_its_place(till: Till, chain: Chain, field: str) -> None:
    mark = "WRONGTEXT"
    request = accrue(0, card="card-1")
    with_lines(10_000)(request)
    target: Any = request
    *path, name = field.replace("[0]", ".0").split(".")
    for step in path:
        target = target[int(step)] if step.isdigit() else getattr(target, step)
    setattr(target, name, mark)
    answer = await till.call(
        "Accrue", request.SerializeToString().replace(mark.encode(), b"WRONG\xff\xfe\xfdT")
    )
    assert (answer.reason, set(answer.violations)) == ("MALFORMED_REQUEST", {field})
    assert await chain.operation_count() == 0


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x7fshort", b"not a message", b"\x0b" * 100])
@pytest.mark.parametrize(
    "method", ["Accrue", "Redeem", "Checkout", "ProcessBatch", "GetBalance", "ListOperations"]
)
async def test_bytes_that_are_no_message_are_refused(
    till: Till, chain: Chain, method: str, data: bytes
) -> None:
    answer = await till.call(method, data)
    assert answer.reason == "MALFORMED_REQUEST", answer
    assert answer.violations
    assert await chain.operation_count() == 0


async def test_a_batch_item_of_no_known_kind_is_refused_alone(till: Till, chain: Chain) -> None:
    request = ProcessBatchRequest(operations=[operation_request(accrue(1))])
    request.operations.add()
    request.operations.add().MergeFromString(b"\x7a\x02\x08\x01")  # number 15 of the oneof
    answer = await till.call("ProcessBatch", request.SerializeToString())
    assert not answer.reason
    results = ProcessBatchResponse.FromString(answer.body).results
    answers = [answer_of(result) for result in results]
    assert [answer.reason for answer in answers] == ["", "INVALID_REQUEST", "INVALID_REQUEST"]
    assert [set(answer.violations) for answer in answers[1:]] == [{"request"}] * 2
    assert await chain.operation_count() == 1


async def test_fields_of_a_later_contract_are_passed_over(till: Till, chain: Chain) -> None:
    answer = await till.call("Accrue", accrue(1).SerializeToString() + b"\xa2\x06\x03new")
    assert not answer.reason


async def test_a_message_of_5_mb_is_refused(till: Till, chain: Chain) -> None:
    answer = await till.write(accrue(1, terminal_id="t" * 5_000_000))
    assert answer.reason == "INVALID_REQUEST"
    [(field, description)] = answer.violations.items()
    assert (field, "4194304" in description) == ("", True)
    assert await chain.operation_count() == 0


async def test_bad_reads_are_refused(till: Till, chain: Chain) -> None:
    bad = [
        ("GetOperation", GetOperationRequest(), "idempotency_key"),
        ("GetOperation", GetOperationRequest(idempotency_key="k" * 65), "idempotency_key"),
        ("GetBalance", GetBalanceRequest(), "member"),
        ("GetBalance", GetBalanceRequest(member_id=-1), "member_id"),
        ("GetBalance", GetBalanceRequest(card="\n"), "card"),
        ("ListOperations", ListOperationsRequest(), "member"),
        ("ListOperations", ListOperationsRequest(member_id=1, page_size=-1), "page_size"),
        ("ListOperations", ListOperationsRequest(member_id=1, page_token="AAAA"), "page_token"),  # noqa: S106
        ("ListOperations", ListOperationsRequest(member_id=1, page_token="ü"), "page_token"),  # noqa: S106
    ]
    for method, request, field in bad:
        answer = await till.call(method, request.SerializeToString())
        assert (answer.reason, set(answer.violations)) == ("INVALID_REQUEST", {field})


async def test_whatever_the_bytes_the_reply_is_one_of_the_contract(till: Till, chain: Chain) -> None:
    """Valid requests with a few bytes changed; what is applied is in the ledger, and nothing else."""
    choice = random.Random(7)
    names = {value.name for value in ErrorReason.DESCRIPTOR.values}
    reasons = {name.removeprefix("ERROR_REASON_") for name in names} - {"INTERNAL_ERROR"}
    applied = 0
    for _ in range(600):
        data = bytearray(checkout(1, 0, 10_000).SerializeToString())
        for _ in range(choice.randint(1, 3)):
            data[choice.randrange(len(data))] = choice.randrange(256)
        answer = await till.call("Checkout", bytes(data))
        assert not answer.reason or answer.reason in reasons, answer
        applied += answer.reason in {"", "INSUFFICIENT_POINTS", "REDEMPTION_ABOVE_LIMIT"}
    assert await chain.operation_count() == applied
