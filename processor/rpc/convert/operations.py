"""Items of batches and streams: one operation of any kind."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from loyalty.v1.transaction_service_pb2 import OperationRequest
from processor.domain.command import SALE_KINDS, Command
from processor.domain.limits import BATCH_OPERATIONS_MAX
from processor.domain.outcomes import Outcome
from processor.rpc.convert.adjustments import adjust_command
from processor.rpc.convert.fields import refuse_if_any
from processor.rpc.convert.holds import capture_command, hold_command, void_command
from processor.rpc.convert.sales import accrue_command, checkout_command, redeem_command
from processor.rpc.convert.undoing import return_command, reverse_command
from processor.rpc.status import Refused, Violation
from processor.rpc.validate import within

_COMMANDS: Final[Mapping[str, Callable[[Any], Command]]] = MappingProxyType(
    {
        "accrue": accrue_command,
        "redeem": redeem_command,
        "checkout": checkout_command,
        "hold": hold_command,
        "capture": capture_command,
        "void": void_command,
        "reverse": reverse_command,
        "return_goods": return_command,
        "adjust": adjust_command,
    }
)


def operation_command(request: OperationRequest) -> Command:
    """One item of a batch; violations name fields as in the item's own request. Raises Refused."""
    kind = request.WhichOneof("request")
    if kind is None:
        problem = Violation("request", f"is required: set one of {', '.join(_COMMANDS)}")
        raise Refused(Outcome.INVALID_REQUEST, violations=[problem])
    command = _COMMANDS[kind](getattr(request, kind))
    return _offline(command) if request.offline else command


def _offline(command: Command) -> Command:
    if command.kind not in SALE_KINDS:
        problem = Violation("offline", "must be false: only accrue, redeem and checkout can be made offline")
        raise Refused(Outcome.INVALID_REQUEST, violations=[problem])
    return command._replace(offline=True)


def operation_key(request: OperationRequest) -> str:
    """The idempotency key of an item as it was sent, valid or not."""
    kind = request.WhichOneof("request")
    return getattr(request, kind).idempotency_key if kind else ""


def check_operations(operations: Sequence[OperationRequest]) -> None:
    """A batch holds 1 to 1,000 operations. Raises Refused."""
    found: list[Violation] = []
    within(found, "operations", len(operations), 1, BATCH_OPERATIONS_MAX)
    refuse_if_any(found)
