"""The table of outcomes against the contract, and the statuses made from it."""

import re
from pathlib import Path
from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2

from loyalty.v1 import error_reason_pb2
from processor.domain.outcomes import Outcome
from processor.rpc.status import ANSWERS, CODES, VIOLATIONS_SHOWN_MAX, Violation, status_bytes

PROTO = Path(__file__).parents[2] / "protos/loyalty/v1/error_reason.proto"
PREFIX = "ERROR_REASON_"
REFUSALS = [outcome for outcome in Outcome if outcome is not Outcome.APPLIED]
# A reason's whole comment, then its name.
REASON = re.compile(r"((?:  // .*\n)+)  ERROR_REASON_(\w+) = \d+;")


def documented() -> dict[str, str]:
    return {name: text for text, name in REASON.findall(PROTO.read_text()) if name != "UNSPECIFIED"}


def details(status: status_pb2.Status) -> dict[type[Any], Any]:
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    found = {}
    for detail in status.details:
        kind = next(kind for kind in kinds if detail.Is(kind.DESCRIPTOR))
        found[kind] = kind()
        assert detail.Unpack(found[kind])
    return found


def test_the_table_covers_every_outcome_and_nothing_else() -> None:
    assert set(ANSWERS) == set(Outcome)


def test_every_outcome_is_a_documented_reason_and_every_reason_an_outcome() -> None:
    reasons = {
        name.removeprefix(PREFIX) for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    } - {"UNSPECIFIED"}
    assert reasons == {outcome.name for outcome in REFUSALS} == set(documented())


@pytest.mark.parametrize("outcome", REFUSALS)
def test_the_contract_documents_code_and_retry_as_the_table_has_them(outcome: Outcome) -> None:
    text = documented()[outcome.name]
    code = re.match(r"  // (\w+)", text)
    assert code
    assert code[1] == ANSWERS[outcome].code.name
    assert ("RetryInfo" in text) == (ANSWERS[outcome].retry_ms is not None)


@pytest.mark.parametrize("outcome", REFUSALS)
def test_a_status_carries_code_message_and_reason(outcome: Outcome) -> None:
    status = status_pb2.Status.FromString(status_bytes(outcome, {"balance_points": 7}))
    assert CODES[status.code] is ANSWERS[outcome].code
    assert status.message == ANSWERS[outcome].message
    info = details(status)[error_details_pb2.ErrorInfo]
    assert (info.reason, info.domain, info.metadata) == (outcome.name, "loyalty.v1", {"balance_points": "7"})


def test_a_retry_delay_is_told() -> None:
    status = status_pb2.Status.FromString(status_bytes(Outcome.QUEUE_FULL))
    assert details(status)[error_details_pb2.RetryInfo].retry_delay.ToMilliseconds() == 500


def test_violations_are_told_field_by_field_and_the_first_in_the_message() -> None:
    violations = [Violation("store_id", "is bad"), Violation("card", "is worse")]
    status = status_pb2.Status.FromString(status_bytes(Outcome.INVALID_REQUEST, violations=violations))
    shown = details(status)[error_details_pb2.BadRequest].field_violations
    assert [(violation.field, violation.description) for violation in shown] == violations
    assert status.message == "The request is not valid. store_id is bad (and 1 more)."


def test_a_status_with_very_many_violations_fits_into_trailing_metadata() -> None:
    violations = [Violation(f"receipt.lines[{i}].quantity_milli", "x" * 80) for i in range(1500)]
    body = status_bytes(Outcome.INVALID_REQUEST, violations=violations)
    status = status_pb2.Status.FromString(body)
    assert len(details(status)[error_details_pb2.BadRequest].field_violations) == VIOLATIONS_SHOWN_MAX
    assert "(and 1499 more)" in status.message
    assert len(body) < 6_000


def test_the_same_refusal_is_the_same_bytes() -> None:
    metadata = {"redeem_points": 9, "balance_points": 7, "limit_points": 1}
    assert len({status_bytes(Outcome.INSUFFICIENT_POINTS, metadata) for _ in range(50)}) == 1
