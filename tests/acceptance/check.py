"""Whether a reply is the predicted one, to the last field."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.code_pb2 import Code

from loyalty.v1.member_service_pb2 import Member
from loyalty.v1.operation_pb2 import Operation, Tier
from loyalty.v1.transaction_service_pb2 import Balance, QuoteResponse
from tests.acceptance.reckoning.ask import microseconds
from tests.acceptance.reckoning.replies import AfterRecord, Entry, Expected, Learned, Outcome
from tests.client import Answer

# The names of gRPC's status codes; FAILED_PRECONDITION for all other reasons.
_CODES: Final = {
    "INVALID_REQUEST": "INVALID_ARGUMENT",
    "OCCURRED_AT_OUT_OF_WINDOW": "INVALID_ARGUMENT",
    "MEMBER_NOT_FOUND": "NOT_FOUND",
    "OPERATION_NOT_FOUND": "NOT_FOUND",
    "ORIGINAL_NOT_FOUND": "NOT_FOUND",
    "IDEMPOTENCY_KEY_REUSED": "ALREADY_EXISTS",
    "CARD_TAKEN": "ALREADY_EXISTS",
    "CALLER_NOT_ALLOWED": "PERMISSION_DENIED",
}
CLOCK_SECONDS_MAX: Final = 120


def check(expected: Expected, answer: Answer) -> None:
    """Fail unless the answer is what was expected; note the bytes of a first reply, hold repeats to them."""
    outcome, replayed, entry = expected
    assert (answer.reason, answer.replayed) == (outcome.reason, replayed), (expected, answer)
    check_outcome(outcome, answer, _operation_content)
    if entry and entry.reply is None:
        # The service's own entries are never anybody's first reply.
        assert not replayed or not entry.payload
        entry.reply = answer.body
    elif entry:
        assert replayed
        assert answer.body == entry.reply


def check_quote(outcome: Outcome, answer: Answer) -> str:
    """The token of the quote, which is as expected; empty if it was refused."""
    assert answer.reason == outcome.reason, (outcome, answer)
    check_outcome(outcome, answer, _quote_content)
    return "" if answer.reason else QuoteResponse.FromString(answer.body).quote_token


def check_member(outcome: Outcome, answer: Answer) -> None:
    """Fail unless a member is as expected, or refused as expected."""
    assert answer.reason == outcome.reason, (outcome, answer)
    check_outcome(outcome, answer, _member_content)


def check_outcome(outcome: Outcome, answer: Answer, read: Any) -> None:
    content = _error_content(answer) if outcome.reason else read(answer)
    wanted = {name: _settled(value, content.get(name), content) for name, value in outcome.content.items()}
    different = {
        name: (wanted.get(name), content.get(name))
        for name in wanted.keys() | content.keys()
        if wanted.get(name) != content.get(name)
    }
    assert not different, ("(expected, found):", different, outcome, content)


def check_balance(expected: Mapping[str, object], balance: Balance, entries: Mapping[str, Entry]) -> None:
    """Fail unless a balance is what was expected; an open hold must be as the reply to it said."""
    content = {field.name: getattr(balance, field.name) for field in Balance.DESCRIPTOR.fields} | {
        "tier": _tier(balance) if balance.HasField("tier") else None,
        "holds": [(hold.points, microseconds(hold.expires_at)) for hold in balance.holds],
        "lots": [(lot.points, _optional(lot, "expires_at")) for lot in balance.lots],
        "pending_lots": [
            (lot.points, microseconds(lot.active_at), _optional(lot, "expires_at"))
            for lot in balance.pending_lots
        ],
        "segments": list(balance.segments),
    }
    holds: Any = expected["holds"]
    told = [(points, _hold_expires_us(entries[key])) for points, key in holds]
    assert content == {**expected, "holds": told}


def _hold_expires_us(entry: Entry) -> int:
    assert entry.reply is not None
    return microseconds(Operation.FromString(entry.reply).hold_expires_at)


def _settled(value: object, found: Any, content: Mapping[str, Any]) -> object:
    """A wanted value once the reply is there, which settles what only the service knows."""
    match value:
        case Learned():
            return value.settle(found)
        case AfterRecord(seconds):
            return content["recorded_at"] + seconds * 1_000_000
        case float() if abs(found - value) < CLOCK_SECONDS_MAX:
            return found
    return value


def _operation_content(answer: Answer) -> dict[str, Any]:
    operation = answer.operation
    assert abs(operation.recorded_at.ToNanoseconds() / 1e9 - time.time()) < CLOCK_SECONDS_MAX
    return {
        **{field.name: getattr(operation, field.name) for field in Operation.DESCRIPTOR.fields},
        "recorded_at": microseconds(operation.recorded_at),
        "occurred_at": microseconds(operation.occurred_at),
        "hold_expires_at": _optional(operation, "hold_expires_at"),
        "tier": _tier(operation) if operation.HasField("tier") else None,
        **_lists(operation),
    }


def _quote_content(answer: Answer) -> dict[str, Any]:
    quote = QuoteResponse.FromString(answer.body)
    content = {field.name: getattr(quote, field.name) for field in QuoteResponse.DESCRIPTOR.fields}
    assert content.pop("quote_token")
    return {
        **content,
        "tier": _tier(quote) if quote.HasField("tier") else None,
        "available_rewards": list(quote.available_rewards),
        **_lists(quote),
    }


def _member_content(answer: Answer) -> dict[str, Any]:
    member = Member.FromString(answer.body)
    cards = {card.card: card.status for card in member.cards}
    assert len(cards) == len(member.cards)
    known = {"member_id": member.member_id, "status": member.status, "cards": cards}
    return {**known, "segments": list(member.segments)}


def _lists(message: Any) -> dict[str, object]:
    rules = [(rule.rule, rule.points, rule.minor) for rule in message.applied_rules]
    texts = [name for name in ("flags", "offline_differences") if name in message.DESCRIPTOR.fields_by_name]
    return {"applied_rules": rules, **{name: list(getattr(message, name)) for name in texts}}


def _tier(message: Any) -> tuple[str, int, str, int]:
    tier: Tier = message.tier
    return tier.name, tier.level, tier.next_name, tier.missing


def _optional(message: Any, field: str) -> int | None:
    moment: Timestamp = getattr(message, field)
    return microseconds(moment) if message.HasField(field) else None


def _error_content(answer: Answer) -> dict[str, Any]:
    status = answer.status
    assert status.code == Code.Value(_CODES.get(answer.reason, "FAILED_PRECONDITION"))
    assert status.message
    content: dict[str, Any] = {
        name: _seconds(text) if name in {"earliest", "latest"} else text
        for name, text in answer.metadata.items()
    }
    return content | ({"violations": set(answer.violations)} if answer.violations else {})


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
