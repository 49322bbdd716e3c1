"""Whether a reply is the predicted one, to the last field."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.v1.operation_pb2 import Operation
from tests.acceptance.model import Expected
from tests.client import Answer

# The numbers of gRPC's status codes.
CODES: Final = {
    "INVALID_REQUEST": 3,
    "OCCURRED_AT_OUT_OF_WINDOW": 3,
    "MEMBER_NOT_FOUND": 5,
    "OPERATION_NOT_FOUND": 5,
    "IDEMPOTENCY_KEY_REUSED": 6,
    "INSUFFICIENT_POINTS": 9,
    "REDEMPTION_BELOW_MINIMUM": 9,
    "REDEMPTION_ABOVE_LIMIT": 9,
    "BALANCE_OUT_OF_RANGE": 9,
}
CLOCK_SECONDS_MAX: Final = 120


def check(expected: Expected, answer: Answer) -> None:
    """Fail unless the answer is what was expected; note the bytes of a first reply, hold repeats to them."""
    outcome, replayed, entry = expected
    assert (answer.reason, answer.replayed) == (outcome.reason, replayed), (expected, answer)
    content = _operation_content(answer.operation) if not outcome.reason else _error_content(answer)
    assert content == _without_clocks(outcome.content, content), (expected, answer)
    if entry and not replayed:
        assert entry.reply is None
        entry.reply = answer.body
    elif entry:
        assert answer.body == entry.reply


def _operation_content(operation: Operation) -> dict[str, object]:
    assert abs(operation.recorded_at.ToNanoseconds() / 1e9 - time.time()) < CLOCK_SECONDS_MAX
    content = {field.name: getattr(operation, field.name) for field in Operation.DESCRIPTOR.fields}
    assert isinstance(content.pop("recorded_at"), Timestamp)
    return {**content, "occurred_at": operation.occurred_at.ToMicroseconds()}


def _error_content(answer: Answer) -> dict[str, object]:
    status = answer.status
    assert status.code == CODES[answer.reason]
    assert status.message
    if answer.reason == "INVALID_REQUEST":
        assert set(answer.violations) == {"store_id"}
    return {
        name: _seconds(text) if name in {"earliest", "latest"} else text
        for name, text in answer.metadata.items()
    }


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _without_clocks(wanted: Mapping[str, object], content: dict[str, object]) -> dict[str, object]:
    """What is wanted, with the bounds of the window as they came if they are close enough."""
    close = {
        name: content[name]
        for name, seconds in wanted.items()
        if isinstance(seconds, float) and abs(float(str(content.get(name, 0))) - seconds) < CLOCK_SECONDS_MAX
    }
    return {**wanted, **close}
