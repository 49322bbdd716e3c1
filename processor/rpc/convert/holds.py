"""Points for an order: Hold, Capture, Void."""

from loyalty.v1.transaction_service_pb2 import CaptureRequest, HoldRequest, VoidRequest
from processor.domain.command import Command, Kind
from processor.domain.limits import HOLD_SECONDS_MAX, REDEEM_POINTS_MAX
from processor.rpc.convert.fields import read_follow_up, read_without_receipt, refuse_if_any
from processor.rpc.status import Violation
from processor.rpc.validate import within


def hold_command(request: HoldRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    command = read_without_receipt(found, Kind.HOLD, request)
    points = within(found, "points", request.points, 1, REDEEM_POINTS_MAX)
    hold_seconds = within(found, "hold_seconds", request.hold_seconds, 0, HOLD_SECONDS_MAX)
    refuse_if_any(found)
    return command._replace(points=points, hold_seconds=hold_seconds)


def capture_command(request: CaptureRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    command = read_follow_up(found, Kind.CAPTURE, request)
    points = within(found, "points", request.points, 0, REDEEM_POINTS_MAX)
    refuse_if_any(found)
    return command._replace(points=points)


def void_command(request: VoidRequest) -> Command:
    """Raises Refused."""
    found: list[Violation] = []
    command = read_follow_up(found, Kind.VOID, request)
    refuse_if_any(found)
    return command
