"""Stored replies, and the messages that are put around them as bytes."""

import pytest

from loyalty.v1 import operation_pb2, transaction_service_pb2
from processor.domain.command import Kind
from processor.domain.decision import Decision
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from processor.domain.standing import Standing
from processor.ports import Reply
from processor.rpc import wire
from processor.rpc.encoder import ProtobufEncoder
from processor.rpc.status import status_bytes

OPERATION = Operation(
    chain_id=1,
    idempotency_key="магазин-7-чек-9",
    occurred_at_us=1_760_000_000_123_456,
    recorded_at_us=1_760_000_001_000_000,
    member_id=2**63 - 1,
    member_sequence=3,
    kind=Kind.CHECKOUT,
    outcome=Outcome.APPLIED,
    earned_points=12,
    redeemed_points=5,
    balance_points=107,
    total_minor=10_000,
    redeemed_minor=500,
    program_version=2,
    store_id="s7",
    terminal_id="",
    receipt_id="r9",
    discount_minor=0,
    original_key="",
    reason="",
    receipt_lines="",
    effects=b"",
    fingerprint=b"",
    response=b"",
    entry_hash=b"",
)
DECISION = Decision(Outcome.APPLIED, 12, 5, 500)
APPLIED = ProtobufEncoder().applied(OPERATION, DECISION, Standing(107))
REFUSED = ProtobufEncoder().refused(Outcome.INSUFFICIENT_POINTS, {"balance_points": 4})


def test_a_plain_sale_has_the_fields_of_old_and_what_can_be_spent() -> None:
    message = operation_pb2.Operation.FromString(APPLIED)
    of_old = {field.name for field in operation_pb2.Operation.DESCRIPTOR.fields if field.number < 16}
    told = {field.name for field, _ in message.ListFields()}
    assert told == of_old - {"terminal_id"} | {"available_points"}
    assert message.available_points == 107
    for name in of_old & set(Operation._fields) - {"kind"}:
        assert getattr(message, name) == getattr(OPERATION, name)
    assert message.kind == operation_pb2.OPERATION_KIND_CHECKOUT
    assert (message.redeemed_minor, message.payable_minor) == (500, 9_500)
    assert message.occurred_at.ToMicroseconds() == OPERATION.occurred_at_us
    assert message.recorded_at.ToMicroseconds() == OPERATION.recorded_at_us


def test_a_refusal_is_the_status_of_its_outcome() -> None:
    assert status_bytes(Outcome.INSUFFICIENT_POINTS, {"balance_points": 4}) == REFUSED


@pytest.mark.parametrize("key", ["", "k", "к" * 64, "k" * 200, "k" * 20_000])
@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize("body", [APPLIED, REFUSED])
def test_a_result_holds_the_stored_bytes(key: str, replayed: bool, body: bytes) -> None:  # noqa: FBT001
    outcome = Outcome.APPLIED if body is APPLIED else Outcome.INSUFFICIENT_POINTS
    encoded = wire.operation_result(key, Reply(outcome, body, replayed))
    expected = operation_pb2.OperationResult(idempotency_key=key, replayed=replayed)
    (expected.operation if body is APPLIED else expected.error).ParseFromString(body)
    assert operation_pb2.OperationResult.FromString(encoded) == expected
    assert body in encoded


def test_results_make_a_batch_response_a_stream_response_and_a_page() -> None:
    results = [
        wire.operation_result(f"k{i}", Reply(Outcome.APPLIED, APPLIED, i % 2 == 0)) for i in range(300)
    ]
    parsed = [operation_pb2.OperationResult.FromString(result) for result in results]
    response = wire.results_response(results)
    assert list(transaction_service_pb2.ProcessBatchResponse.FromString(response).results) == parsed
    assert list(transaction_service_pb2.ProcessStreamResponse.FromString(response).results) == parsed
    page = transaction_service_pb2.ListOperationsResponse.FromString(wire.operations_page(results, "next"))
    assert (list(page.results), page.next_page_token) == (parsed, "next")
    last = transaction_service_pb2.ListOperationsResponse.FromString(wire.operations_page([], ""))
    assert last == transaction_service_pb2.ListOperationsResponse()


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 3_000_000])
def test_lengths_of_every_size(size: int) -> None:
    result = wire.operation_result("k", Reply(Outcome.APPLIED, b"", replayed=False)) + b"\x1a\x00" * (
        size // 2
    )
    parsed = transaction_service_pb2.ProcessBatchResponse.FromString(wire.results_response([result]))
    assert parsed.results[0].idempotency_key == "k"
