"""What undoes earlier operations: Reverse, Return."""

from collections.abc import Sequence

from loyalty.v1 import transaction_service_pb2
from loyalty.v1.transaction_service_pb2 import ReturnRequest, ReverseRequest
from processor.domain.command import Command, Kind, ReturnedLine
from processor.domain.limits import QUANTITY_MILLI_MAX, RECEIPT_LINES_MAX
from processor.rpc.convert.fields import read_follow_up, refuse_if_any
from processor.rpc.status import Violation
from processor.rpc.validate import within


def reverse_command(request: ReverseRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    command = read_follow_up(found, Kind.REVERSE, request)
    refuse_if_any(found)
    return command


def return_command(request: ReturnRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    command = read_follow_up(found, Kind.RETURN, request)
    returned = _read_returned(found, request.lines)
    refuse_if_any(found)
    return command._replace(returned=returned)


def _read_returned(
    found: list[Violation], items: Sequence[transaction_service_pb2.ReturnedLine]
) -> tuple[ReturnedLine, ...]:
    if not 1 <= len(items) <= RECEIPT_LINES_MAX:
        found.append(Violation("lines", f"must be 1 to {RECEIPT_LINES_MAX}, not {len(items)}"))
        return ()
    seen: set[int] = set()
    for index, item in enumerate(items):
        path = f"lines[{index}]"
        within(found, f"{path}.line_number", item.line_number, 1, RECEIPT_LINES_MAX)
        within(found, f"{path}.quantity_milli", item.quantity_milli, 1, QUANTITY_MILLI_MAX)
        if item.line_number in seen:
            problem = f"must be distinct; {item.line_number} is there before"
            found.append(Violation(f"{path}.line_number", problem))
        seen.add(item.line_number)
    return tuple([ReturnedLine(item.line_number, item.quantity_milli) for item in items])
