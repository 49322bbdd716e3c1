"""What a till is told about each outcome: the one table, and the google.rpc.Status made from it."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from processor.domain.outcomes import Outcome
from processor.ports import Reply

ERROR_DOMAIN: Final = "loyalty.v1"
# A unary call's status travels in trailing metadata, which clients cap at 8 KiB.
VIOLATIONS_SHOWN_MAX: Final = 32


class Answer(NamedTuple):
    """How an outcome is told; `retry_ms` is set where the same call may succeed later."""

    code: StatusCode
    message: str
    retry_ms: int | None = None


ANSWERS: Final[Mapping[Outcome, Answer]] = MappingProxyType(
    {
        Outcome.APPLIED: Answer(StatusCode.OK, "The operation was applied."),
        Outcome.INSUFFICIENT_POINTS: Answer(
            StatusCode.FAILED_PRECONDITION, "The member can spend fewer points than the call takes."
        ),
        Outcome.REDEMPTION_BELOW_MINIMUM: Answer(
            StatusCode.FAILED_PRECONDITION, "The call redeems fewer points than the program's minimum."
        ),
        Outcome.REDEMPTION_ABOVE_LIMIT: Answer(
            StatusCode.FAILED_PRECONDITION,
            "The points would pay more of the receipt than the program allows.",
        ),
        Outcome.BALANCE_OUT_OF_RANGE: Answer(
            StatusCode.FAILED_PRECONDITION, "The member's balance would leave its range."
        ),
        Outcome.REWARD_NOT_AVAILABLE: Answer(
            StatusCode.FAILED_PRECONDITION, "The member can't have a reward for this receipt."
        ),
        Outcome.LIMIT_EXCEEDED: Answer(
            StatusCode.FAILED_PRECONDITION, "A limit of the program on operations or points is reached."
        ),
        Outcome.QUOTE_OUTDATED: Answer(
            StatusCode.FAILED_PRECONDITION, "What was quoted no longer holds; ask for a new quote."
        ),
        Outcome.OFFLINE_LIMIT_EXCEEDED: Answer(
            StatusCode.FAILED_PRECONDITION, "More points were redeemed offline than the program allows."
        ),
        Outcome.HOLD_CAPTURED: Answer(StatusCode.FAILED_PRECONDITION, "The hold was captured before."),
        Outcome.HOLD_VOID: Answer(StatusCode.FAILED_PRECONDITION, "The hold was voided before."),
        Outcome.HOLD_EXPIRED: Answer(StatusCode.FAILED_PRECONDITION, "The time of the hold is over."),
        Outcome.CAPTURE_ABOVE_HOLD: Answer(
            StatusCode.FAILED_PRECONDITION, "The call captures more points than are held."
        ),
        Outcome.TOO_MANY_HOLDS: Answer(
            StatusCode.FAILED_PRECONDITION, "The member has as many open holds as the program allows."
        ),
        Outcome.NOT_REVERSIBLE: Answer(
            StatusCode.FAILED_PRECONDITION, "An operation of this kind can't be undone so."
        ),
        Outcome.ALREADY_REVERSED: Answer(
            StatusCode.FAILED_PRECONDITION, "Nothing of the original is left to undo."
        ),
        Outcome.RETURN_ABOVE_ORIGINAL: Answer(
            StatusCode.FAILED_PRECONDITION, "More comes back of a line than was sold and not returned yet."
        ),
        Outcome.INVALID_REQUEST: Answer(StatusCode.INVALID_ARGUMENT, "The request is not valid."),
        Outcome.MALFORMED_REQUEST: Answer(StatusCode.INVALID_ARGUMENT, "The request can't be decoded."),
        Outcome.OCCURRED_AT_OUT_OF_WINDOW: Answer(
            StatusCode.INVALID_ARGUMENT, "occurred_at is further back or ahead than the chain allows."
        ),
        Outcome.API_KEY_MISSING: Answer(
            StatusCode.UNAUTHENTICATED, "Send metadata `authorization: Bearer <API key>`."
        ),
        Outcome.API_KEY_INVALID: Answer(
            StatusCode.UNAUTHENTICATED, "The API key is unknown, mistyped or revoked."
        ),
        Outcome.CALLER_NOT_ALLOWED: Answer(
            StatusCode.PERMISSION_DENIED, "The API key may not make this call; it needs the role operator."
        ),
        Outcome.MEMBER_NOT_FOUND: Answer(
            StatusCode.NOT_FOUND, "The chain has no member with this member_id, card or phone."
        ),
        Outcome.MEMBER_CLOSED: Answer(StatusCode.FAILED_PRECONDITION, "The membership is closed."),
        Outcome.CARD_BLOCKED: Answer(
            StatusCode.FAILED_PRECONDITION, "The card is blocked and can't spend points."
        ),
        Outcome.CARD_REPLACED: Answer(
            StatusCode.FAILED_PRECONDITION, "The card was replaced by another one."
        ),
        Outcome.CARD_TAKEN: Answer(StatusCode.ALREADY_EXISTS, "The card or phone belongs to another member."),
        Outcome.OPERATION_NOT_FOUND: Answer(
            StatusCode.NOT_FOUND, "No operation is recorded under this idempotency key."
        ),
        Outcome.ORIGINAL_NOT_FOUND: Answer(
            StatusCode.NOT_FOUND, "The member has no applied operation under original_idempotency_key."
        ),
        Outcome.IDEMPOTENCY_KEY_REUSED: Answer(
            StatusCode.ALREADY_EXISTS, "The idempotency key belongs to an earlier call with another payload."
        ),
        Outcome.QUEUE_FULL: Answer(
            StatusCode.RESOURCE_EXHAUSTED, "The server's queue is full; send the same call again.", 500
        ),
        Outcome.DEADLINE_PASSED: Answer(
            StatusCode.DEADLINE_EXCEEDED, "The deadline passed before the call was decided."
        ),
        Outcome.STORAGE_UNAVAILABLE: Answer(
            StatusCode.UNAVAILABLE, "The ledger can't be reached; send the same call again.", 1000
        ),
        Outcome.OUTCOME_UNKNOWN: Answer(
            StatusCode.UNAVAILABLE,
            "The call may or may not have been applied; send the same call again.",
            1000,
        ),
        Outcome.SHUTTING_DOWN: Answer(
            StatusCode.UNAVAILABLE, "The server is shutting down; send the same call again.", 100
        ),
        Outcome.INTERNAL_ERROR: Answer(
            StatusCode.INTERNAL, "The server failed; its log tells more under request_id."
        ),
    }
)

CODES: Final[Mapping[int, StatusCode]] = MappingProxyType({code.value[0]: code for code in StatusCode})

_NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})


class Violation(NamedTuple):
    """A field, by its path in the request, and what it must be."""

    field: str
    description: str


def move_inside(parent: str, violations: Iterable[Violation]) -> list[Violation]:
    """The same violations, seen from the message that holds `parent`."""
    return [Violation(f"{parent}.{field}", description) for field, description in violations]


class Refused(Exception):
    """Ends a call outside of the ledger; `reply` is what the till gets."""

    def __init__(
        self,
        outcome: Outcome,
        details: Mapping[str, object] = _NO_DETAILS,
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(outcome.name)
        self.reply = Reply(outcome, status_bytes(outcome, details, violations), replayed=False)


def status_bytes(
    outcome: Outcome, details: Mapping[str, object] = _NO_DETAILS, violations: Sequence[Violation] = ()
) -> bytes:
    """A serialised google.rpc.Status with ErrorInfo, and BadRequest and RetryInfo where they apply."""
    answer = ANSWERS[outcome]
    status = status_pb2.Status(code=answer.code.value[0], message=_message(answer, violations))
    metadata = {name: str(value) for name, value in details.items()}
    _attach(status, error_details_pb2.ErrorInfo(reason=outcome.name, domain=ERROR_DOMAIN, metadata=metadata))
    if violations:
        _attach(status, _bad_request(violations))
    if answer.retry_ms is not None:
        _attach(status, _retry_info(answer.retry_ms))
    return bytes(status.SerializeToString())


def _attach(status: status_pb2.Status, detail: object) -> None:
    status.details.add().Pack(detail, deterministic=True)


def _message(answer: Answer, violations: Sequence[Violation]) -> str:
    """Many a client logs nothing but this text, so it names the first field."""
    if not violations:
        return answer.message
    field, description = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return f"{answer.message} {field or 'The message'} {description}{more}."


def _bad_request(violations: Sequence[Violation]) -> error_details_pb2.BadRequest:
    shown = [
        error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
        for field, description in violations[:VIOLATIONS_SHOWN_MAX]
    ]
    return error_details_pb2.BadRequest(field_violations=shown)


def _retry_info(retry_ms: int) -> error_details_pb2.RetryInfo:
    seconds, rest_ms = divmod(retry_ms, 1000)
    return error_details_pb2.RetryInfo(retry_delay={"seconds": seconds, "nanos": rest_ms * 1_000_000})
