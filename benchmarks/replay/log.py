"""What was sent and what came back, one entry a call."""

from typing import NamedTuple

from loyalty.v1.operation_pb2 import Operation
from loyalty.v1.transaction_service_pb2 import Balance


class Standing(NamedTuple):
    """Where a member stands; `tier` is its name, "" below the first and without tiers."""

    balance_points: int
    available_points: int
    pending_points: int
    tier: str


class Told(NamedTuple):
    """What a reply says. A refusal says its `reason` alone: the standing is that of the reply before.

    `money_minor` is what the customer pays for a sale, or gets back for a return.
    """

    reason: str
    earned_points: int
    redeemed_points: int
    redeemed_minor: int
    discount_minor: int
    money_minor: int
    shortfall_points: int
    shortfall_minor: int
    balance_points: int
    available_points: int
    pending_points: int
    tier: str


class LogEntry(NamedTuple):
    """`return_number` is 0 for the receipt itself and counts from 1 what is brought back of it.

    `position` counts the household's calls in the order sent; `redeem_points` is what was asked for, and
    `returned` the lines and quantities brought back ("1:1000,4:500"). `recorded_at_us` is 0 if the call was
    refused. `copies` were sent because the plan says so and `repeats` because the outcome was unknown;
    `replays` were answered as such. `answers_equal` tells whether all of them got the same bytes. The rest
    are the fields of `Told`.
    """

    basket_id: int
    return_number: int
    household_id: int
    position: int
    occurred_at_us: int
    recorded_at_us: int
    is_offline: bool
    redeem_points: int
    returned: str
    copies: int
    repeats: int
    replays: int
    answers_equal: bool
    reason: str
    earned_points: int
    redeemed_points: int
    redeemed_minor: int
    discount_minor: int
    money_minor: int
    shortfall_points: int
    shortfall_minor: int
    balance_points: int
    available_points: int
    pending_points: int
    tier: str


def standing_of(message: Operation | Balance) -> Standing:
    """What a reply says of where the member stands."""
    return Standing(
        message.balance_points, message.available_points, message.pending_points, message.tier.name
    )


def told_by(operation: Operation) -> Told:
    """What the reply to an applied call says."""
    return Told(
        "",
        operation.earned_points,
        operation.redeemed_points,
        operation.redeemed_minor,
        operation.discount_minor,
        operation.payable_minor + operation.refund_minor,
        operation.shortfall_points,
        operation.shortfall_minor,
        *standing_of(operation),
    )


def told_by_refusal(reason: str, before: Standing) -> Told:
    """What a refused call changes: nothing."""
    return Told(reason, 0, 0, 0, 0, 0, 0, 0, *before)
