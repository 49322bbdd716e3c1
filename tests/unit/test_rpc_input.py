"""Bad input of every field: a precise BadRequest, and nothing is submitted."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    GetBalanceRequest,
    GetOperationRequest,
    ListOperationsRequest,
    OperationRequest,
    ProcessBatchRequest,
    ProcessBatchResponse,
    ReturnedLine,
)
from processor.domain.account import Account
from processor.rpc.status import VIOLATIONS_SHOWN_MAX
from tests.unit.rpc_harness import (
    AUTHORIZATION,
    MESSAGE_BYTES_MAX,
    SERVICE,
    Failure,
    Harness,
    failure,
    failure_of,
    running,
)
from tests.unit.rpc_requests import (
    MEMBERS,
    READS,
    WRITES,
    accrue_request,
    adjust_request,
    capture_request,
    checkout_request,
    hold_request,
    return_request,
    reverse_request,
    void_request,
)

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
TOO_LONG = "must have at most 64 characters, not 65"
REQUIRED = "is required"


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    async with running() as harness:
        yield harness
        assert not harness.queue.submitted
        assert not harness.reader.calls
        assert not harness.members.calls


def put(path: str, value: Any) -> Callable[[Any], None]:
    """A change of one field, by its path."""

    def change(request: Any) -> None:
        *parents, name = path.split(".")
        for parent in parents:
            request = request.lines[int(parent)] if parent.isdigit() else getattr(request, parent)
        if isinstance(value, Timestamp):
            getattr(request, name).CopyFrom(value)
        elif value is None:
            request.ClearField(name)
        else:
            setattr(request, name, value)

    return change


def identifier_cases(path: str, *, required: bool) -> list[tuple[str, Any, str]]:
    cases = [
        (path, "x" * 65, TOO_LONG),
        (path, "Ж" * 65, TOO_LONG),
        (path, "a\nb", "must have printable characters only; number 2 is U+000A"),
        (path, "\0", "must have printable characters only; number 1 is U+0000"),
        (path, "ok\u200b", "must have printable characters only; number 3 is U+200B"),
    ]
    return [*cases, (path, "", REQUIRED)] if required else cases


def number_cases(path: str, *wrong: int, lowest: int, highest: int) -> list[tuple[str, Any, str]]:
    values = {*wrong, lowest - 1, highest + 1, INT64_MIN, INT64_MAX} - {highest}
    return [
        (path, value, f"must be {lowest} to {highest}, not {value}")
        for value in sorted(values)
        if INT64_MIN <= value <= INT64_MAX
    ]


MEMBER_REQUIRED = "is required: set member_id, card or phone"
E164 = "must be a phone number in E.164: + and 2 to 15 digits, the first not 0"


def phone_cases(path: str) -> list[tuple[str, Any, str]]:
    wrong = [
        "+",
        "+1",
        "+0151",
        "00491701234567",
        "+49 170 1234567",
        "+" + "1" * 16,
        "491701234567",
        "+4917x",
    ]
    wrong += ["+\N{ARABIC-INDIC DIGIT ONE}2", "+491701234567\n"]
    return [(path, "", REQUIRED), *[(path, number, E164) for number in wrong]]


YEARS = "must lie in the years 2000 to 2100, not at {} seconds"
NANOS = "must have nanos of 0 to 999999999, not {}"
COMMON = [
    *identifier_cases("idempotency_key", required=True),
    ("idempotency_key", "system:", "must not begin with system:"),
    ("idempotency_key", "system:expire:1:2", "must not begin with system:"),
    *identifier_cases("card", required=True),
    *phone_cases("phone"),
    *identifier_cases("original_idempotency_key", required=True),
    *identifier_cases("store_id", required=True),
    *identifier_cases("terminal_id", required=False),
    *identifier_cases("receipt.receipt_id", required=True),
    *identifier_cases("receipt.0.sku", required=True),
    *identifier_cases("receipt.1.category", required=False),
    *identifier_cases("receipt.0.brand", required=False),
    *number_cases("receipt.total_minor", 0, lowest=1, highest=100_000_000_000),
    *number_cases("receipt.0.amount_minor", lowest=0, highest=100_000_000_000),
    # 0 means one piece.
    *[
        case
        for case in number_cases("receipt.1.quantity_milli", -1, lowest=1, highest=1_000_000_000)
        if case[1]
    ],
    ("member_id", 0, f"must be 1 to {INT64_MAX}, not 0"),
    ("member_id", -1, f"must be 1 to {INT64_MAX}, not -1"),
    ("member_id", INT64_MIN, f"must be 1 to {INT64_MAX}, not {INT64_MIN}"),
    ("occurred_at", None, REQUIRED),
    ("occurred_at", Timestamp(seconds=0), YEARS.format(0)),
    ("occurred_at", Timestamp(seconds=-1), YEARS.format(-1)),
    ("occurred_at", Timestamp(seconds=946_684_799, nanos=999_999_999), YEARS.format(946_684_799)),
    ("occurred_at", Timestamp(seconds=4_133_980_800), YEARS.format(4_133_980_800)),
    ("occurred_at", Timestamp(seconds=INT64_MAX), YEARS.format(INT64_MAX)),
    ("occurred_at", Timestamp(seconds=INT64_MIN), YEARS.format(INT64_MIN)),
    ("occurred_at", Timestamp(seconds=1_760_000_000, nanos=-1), NANOS.format(-1)),
    ("occurred_at", Timestamp(seconds=1_760_000_000, nanos=1_000_000_000), NANOS.format(1_000_000_000)),
    ("receipt", None, REQUIRED),
    ("member_id", None, MEMBER_REQUIRED),
]
FIELDS = {"receipt.0.": "receipt.lines[0].", "receipt.1.": "receipt.lines[1]."}


def field_of(path: str, problem: str) -> str:
    for short, full in FIELDS.items():
        path = path.replace(short, full)
    return "member" if problem == MEMBER_REQUIRED else path


REQUESTS = {**WRITES, **READS}
SALES = ["Accrue", "Redeem", "Checkout"]
# One of each field is enough to know that it is looked at.
ONE_EACH = list({path: (path, value, problem) for path, value, problem in COMMON}.values())
CASES = [
    (method, *case)
    for method, make in REQUESTS.items()
    for case in (COMMON if method in SALES else ONE_EACH)
    if case[0].split(".")[0] in make().DESCRIPTOR.fields_by_name
]


async def refusal(rpc: Harness, method: str, request: Any) -> Failure:
    data = request if isinstance(request, bytes) else request.SerializeToString()
    failed = await failure(rpc.call(method, data))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert b"Traceback" not in failed.body
    return failed


@pytest.mark.parametrize("method, path, value, problem", CASES)
async def test_a_bad_field_is_named(rpc: Harness, method: str, path: str, value: Any, problem: str) -> None:
    request = REQUESTS[method]()
    put(path, value)(request)
    failed = await refusal(rpc, method, request)
    assert (failed.reason, failed.violations) == ("INVALID_REQUEST", [(field_of(path, problem), problem)])


MOST_POINTS = 1_000_000_000_000
OF_ONE_METHOD = {
    "Redeem": number_cases("redeem_points", 0, lowest=1, highest=MOST_POINTS),
    "Checkout": [
        *number_cases("redeem_points", lowest=0, highest=MOST_POINTS),
        ("quote_token", "x" * 257, "must be the quote_token of a QuoteResponse, as it is"),
        ("quote_token", "a\nb", "must be the quote_token of a QuoteResponse, as it is"),
    ],
    "Quote": number_cases("redeem_points", lowest=0, highest=MOST_POINTS),
    "Hold": [
        *number_cases("points", 0, lowest=1, highest=MOST_POINTS),
        *number_cases("hold_seconds", lowest=0, highest=31_536_000),
    ],
    "Capture": number_cases("points", lowest=0, highest=MOST_POINTS),
    "Adjust": [
        *number_cases("points", lowest=-MOST_POINTS, highest=MOST_POINTS),
        ("points", 0, "must not be 0"),
        ("reason", 0, REQUIRED),
        (
            "reason",
            7,
            "must be one of COMPENSATION, SURVEY, REVIEW, REFERRAL, CONTEST, CORRECTION, not 7",
        ),
    ],
}


@pytest.mark.parametrize(
    "method, path, value, problem",
    [(method, *case) for method, cases in OF_ONE_METHOD.items() for case in cases],
)
async def test_a_bad_field_of_one_method_is_named(
    rpc: Harness, method: str, path: str, value: Any, problem: str
) -> None:
    request = REQUESTS[method]()
    put(path, value)(request)
    assert (await refusal(rpc, method, request)).violations == [(path, problem)]


@pytest.mark.parametrize("method", ["Checkout", "Quote"])
async def test_no_points_are_enough_where_nothing_must_be_redeemed(method: str) -> None:
    request = REQUESTS[method]()
    request.redeem_points = 0
    async with running() as rpc:
        rpc.reader.known_account = Account(1, 0, 0, b"")
        await rpc.call(method, request.SerializeToString())


REWARDS = [
    (["x"] * 11, [("reward_ids", "must be at most 10, not 11")]),
    (["a", "b", "a"], [("reward_ids[2]", "must be distinct; a is there before")]),
    (["a", "", "x" * 65], [("reward_ids[1]", REQUIRED), ("reward_ids[2]", TOO_LONG)]),
]


@pytest.mark.parametrize("method", ["Redeem", "Checkout", "Quote"])
@pytest.mark.parametrize("reward_ids, violations", REWARDS)
async def test_bad_rewards_are_named(
    rpc: Harness, method: str, reward_ids: list[str], violations: list[tuple[str, str]]
) -> None:
    request = REQUESTS[method]()
    request.reward_ids.extend(reward_ids)
    assert (await refusal(rpc, method, request)).violations == violations


ONE_TO_500 = "must be 1 to 500, not {}"
RETURNED = [
    ([], [("lines", ONE_TO_500.format(0))]),
    ([(1, 1)] * 501, [("lines", ONE_TO_500.format(501))]),
    ([(0, 1)], [("lines[0].line_number", ONE_TO_500.format(0))]),
    ([(1, 1), (501, 1)], [("lines[1].line_number", ONE_TO_500.format(501))]),
    ([(7, 1), (7, 2)], [("lines[1].line_number", "must be distinct; 7 is there before")]),
    ([(1, 0)], [("lines[0].quantity_milli", "must be 1 to 1000000000, not 0")]),
    ([(1, 1_000_000_001)], [("lines[0].quantity_milli", "must be 1 to 1000000000, not 1000000001")]),
]


@pytest.mark.parametrize("lines, violations", RETURNED)
async def test_bad_returned_lines_are_named(
    rpc: Harness, lines: list[tuple[int, int]], violations: list[tuple[str, str]]
) -> None:
    request = return_request()
    del request.lines[:]
    request.lines.extend([ReturnedLine(line_number=number, quantity_milli=milli) for number, milli in lines])
    assert (await refusal(rpc, "Return", request)).violations == violations


NOT_SALES = {
    "hold": hold_request(),
    "capture": capture_request(),
    "void": void_request(),
    "reverse": reverse_request(),
    "return_goods": return_request(),
    "adjust": adjust_request(),
}


@pytest.mark.parametrize("kind", NOT_SALES)
async def test_only_sales_are_made_offline(rpc: Harness, kind: str) -> None:
    item = OperationRequest(**{kind: NOT_SALES[kind]}, offline=True)  # type: ignore[arg-type]
    data = ProcessBatchRequest(operations=[item]).SerializeToString()
    [result] = ProcessBatchResponse.FromString(await rpc.call("ProcessBatch", data)).results
    problem = "must be false: only accrue, redeem and checkout can be made offline"
    assert failure_of(result.error).violations == [("offline", problem)]


LINE_BREAK = "must have printable characters only; number 1 is U+000A"
IDENTIFIER_REQUIRED = "is required: set card or phone"
ADDED_REQUIRED = "is required: set new_card or new_phone"
OF_MEMBERS = [
    *[
        (method, path, "", REQUIRED, path)
        for method in ("EnrolMember", "ReplaceCard", "BlockCard", "UnblockCard")
        for path in ("card", "phone")
    ],
    *[("EnrolMember", *case, "phone") for case in phone_cases("phone")],
    *[("EnrolMember", *case, "card") for case in identifier_cases("card", required=True)],
    *[
        (method, path, "\n", problem, path)
        for method in ("AddCard", "ReplaceCard")
        for path, problem in {"new_card": LINE_BREAK, "new_phone": E164}.items()
    ],
    *[
        (method, "card", None, IDENTIFIER_REQUIRED, "identifier")
        for method in ("EnrolMember", "ReplaceCard", "BlockCard", "UnblockCard")
    ],
    *[(method, "new_card", None, ADDED_REQUIRED, "added") for method in ("AddCard", "ReplaceCard")],
    *[(method, "member_id", None, MEMBER_REQUIRED, "member") for method in ("GetMember", "AddCard")],
    ("ReplaceCard", "new_card", "c-1", "must not be what it replaces", "new_card"),
]


@pytest.mark.parametrize("method, path, value, problem, field", OF_MEMBERS)
async def test_a_bad_field_of_a_members_request_is_named(
    rpc: Harness, method: str, path: str, value: Any, problem: str, field: str
) -> None:
    request = MEMBERS[method]()
    put(path, value)(request)
    assert (await refusal(rpc, method, request)).violations == [(field, problem)]


@pytest.mark.parametrize("amounts", [(700, 301), (0, 0), (1000, 1000)])
async def test_lines_add_up(rpc: Harness, amounts: tuple[int, ...]) -> None:
    request = accrue_request()
    for line, amount in zip(request.receipt.lines, amounts, strict=True):
        line.amount_minor = amount
    failed = await refusal(rpc, "Accrue", request)
    problem = f"must add up to total_minor 1000, not {sum(amounts)}"
    assert failed.violations == [("receipt.lines", problem)]


async def test_there_are_at_most_500_lines(rpc: Harness) -> None:
    request = accrue_request()
    request.receipt.CopyFrom(
        Receipt(receipt_id="r", total_minor=501, lines=[LineItem(sku="x", amount_minor=1)] * 501)
    )
    failed = await refusal(rpc, "Accrue", request)
    assert failed.violations == [("receipt.lines", "must be at most 500, not 501")]


@pytest.mark.parametrize("method", SALES)
async def test_all_violations_are_found_at_once(rpc: Harness, method: str) -> None:
    failed = await refusal(rpc, method, b"")
    points = ["redeem_points"] if method == "Redeem" else []
    expected = [*points, "idempotency_key", "member", "occurred_at", "store_id", "receipt"]
    assert [field for field, _ in failed.violations] == expected


async def test_very_many_violations_still_reach_the_caller(rpc: Harness) -> None:
    request = accrue_request()
    lines = [LineItem(sku="\n", quantity_milli=-1, amount_minor=-1, category="\n")] * 500
    request.receipt.CopyFrom(Receipt(receipt_id="r", total_minor=1, lines=lines))
    failed = await refusal(rpc, "Accrue", request)
    assert len(failed.violations) == VIOLATIONS_SHOWN_MAX


def bytes_with_wrong_utf8(request: Any, marker: str) -> bytes:
    """The request with a marker in its bytes replaced by as many bytes that are no UTF-8."""
    data: bytes = request.SerializeToString()
    assert data.count(marker.encode()) == 1
    return data.replace(marker.encode(), b"\xff" * len(marker))


@pytest.mark.parametrize(
    "path",
    [
        "idempotency_key",
        "card",
        "store_id",
        "terminal_id",
        "receipt.receipt_id",
        "receipt.0.sku",
        "receipt.1.category",
    ],
)
@pytest.mark.parametrize("method", SALES)
async def test_wrong_utf8_is_named_with_its_field(rpc: Harness, method: str, path: str) -> None:
    request = REQUESTS[method]()
    put(path, "okMARK")(request)
    failed = await refusal(rpc, method, bytes_with_wrong_utf8(request, "MARK"))
    problem = "must be UTF-8; byte 3 begins what is not: ff ff ff ff"
    assert (failed.reason, failed.violations) == ("MALFORMED_REQUEST", [(field_of(path, ""), problem)])


async def test_wrong_utf8_in_a_batch_is_named_with_its_item(rpc: Harness) -> None:
    items = [
        OperationRequest(accrue=accrue_request("one")),
        OperationRequest(checkout=checkout_request("MARK")),
    ]
    data = bytes_with_wrong_utf8(ProcessBatchRequest(operations=items), "MARK")
    failed = await refusal(rpc, "ProcessBatch", data)
    assert [field for field, _ in failed.violations] == ["operations[1].checkout.idempotency_key"]


MALFORMED = {
    "not protobuf": b"this is no protobuf",
    "an open end": b"\x0a\x7fshort",
    "an endless varint": b"\x10" + b"\xff" * 11,
    "field number 0": b"\x02\x00",
    "an end without a group": b"\x0c",
    "wrong UTF-8 that a later value hides": b"\x0a\x01\xff\x0a\x01a",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("method", [*WRITES, "GetOperation", "EnrolMember", "BlockCard"])
async def test_bytes_that_are_no_message_are_refused(rpc: Harness, method: str, data: bytes) -> None:
    failed = await refusal(rpc, method, data)
    problem = f"must be a protobuf message of type loyalty.v1.{method}Request"
    assert (failed.reason, failed.violations) == ("MALFORMED_REQUEST", [("", problem)])


ONE_OF = (
    "is required: set one of accrue, redeem, checkout, hold, capture, void, reverse, return_goods, adjust"
)


async def test_an_operation_of_an_unknown_kind_is_refused_beside_its_neighbours(rpc: Harness) -> None:
    unknown_kind = b"\xa2\x01\x02\x0a\x00"  # field 20, a message
    nothing_set = b""
    data = b"".join(b"\x0a" + bytes((len(item),)) + item for item in (unknown_kind, nothing_set))
    results = ProcessBatchResponse.FromString(await rpc.call("ProcessBatch", data)).results
    expected = [("request", ONE_OF)]
    assert [failure_of(result.error).violations for result in results] == [expected, expected]


@pytest.mark.parametrize("size", [MESSAGE_BYTES_MAX + 1, 5_000_000, 3 * MESSAGE_BYTES_MAX // 2])
@pytest.mark.parametrize("method", ["Accrue", "ProcessBatch", "GetBalance"])
async def test_a_message_that_is_too_large_is_told_both_sizes(rpc: Harness, method: str, size: int) -> None:
    failed = await refusal(rpc, method, bytes(size))
    problem = f"must have at most {MESSAGE_BYTES_MAX} bytes, not {size}"
    assert (failed.reason, failed.violations) == ("INVALID_REQUEST", [("", problem)])


async def test_a_message_that_is_far_too_large_is_refused_by_grpc() -> None:
    """By grpcio's own bound; the native transport has none, and tells of it as of any other."""
    async with running(transport="grpcio") as rpc:
        with pytest.raises(grpc.aio.AioRpcError, match="larger than max") as caught:
            await rpc.call("Accrue", bytes(3 * MESSAGE_BYTES_MAX // 2 + 1))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_call_without_a_message_is_refused() -> None:
    """By the service itself; the native transport does so before it hears of the call, with INTERNAL."""
    async with running(transport="grpcio") as rpc:
        call: Any = rpc.channel.stream_unary(f"{SERVICE}Accrue")(iter(()), metadata=(AUTHORIZATION,))
        assert (await failure(call)).reason == "MALFORMED_REQUEST"


async def test_a_message_of_the_largest_size_is_read(rpc: Harness) -> None:
    head = len(AccrueRequest(idempotency_key="x" * MESSAGE_BYTES_MAX).SerializeToString()) - MESSAGE_BYTES_MAX
    key_chars = MESSAGE_BYTES_MAX - head
    failed = await refusal(rpc, "Accrue", AccrueRequest(idempotency_key="x" * key_chars))
    assert failed.violations[0] == ("idempotency_key", f"must have at most 64 characters, not {key_chars}")


BAD_READS = [
    ("GetOperation", GetOperationRequest(), "idempotency_key", REQUIRED),
    ("GetOperation", GetOperationRequest(idempotency_key="x" * 65), "idempotency_key", TOO_LONG),
    ("GetBalance", GetBalanceRequest(), "member", MEMBER_REQUIRED),
    ("GetBalance", GetBalanceRequest(member_id=-1), "member_id", f"must be 1 to {INT64_MAX}, not -1"),
    ("GetBalance", GetBalanceRequest(card=""), "card", REQUIRED),
    ("ListOperations", ListOperationsRequest(), "member", MEMBER_REQUIRED),
    (
        "ListOperations",
        ListOperationsRequest(member_id=1, page_size=-1),
        "page_size",
        "must be 0 to 2147483647, not -1",
    ),
]


@pytest.mark.parametrize("method, request_, field, problem", BAD_READS)
async def test_a_bad_field_of_a_read_is_named(
    rpc: Harness, method: str, request_: Any, field: str, problem: str
) -> None:
    failed = await refusal(rpc, method, request_)
    assert failed.violations == [(field, problem)]


async def test_an_item_of_a_batch_gets_the_status_of_the_unary_call(rpc: Harness) -> None:
    request = accrue_request()
    request.receipt.lines[1].sku = ""
    alone = await refusal(rpc, "Accrue", request)
    stub_call = rpc.stub.ProcessBatch(
        ProcessBatchRequest(operations=[OperationRequest(accrue=request)]), metadata=(AUTHORIZATION,)
    )
    assert failure_of((await stub_call).results[0].error).body == alone.body
