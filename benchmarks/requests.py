"""Requests as tills send them, each under a key of its own."""

import random
import secrets
import time
from itertools import count

from benchmarks.members import Members
from benchmarks.receipts import draw_receipt
from benchmarks.rich_program import BRANDS, CATEGORIES
from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    CheckoutRequest,
    OperationRequest,
    RedeemRequest,
)

_STORES = 400
_TERMINALS = 20
_REDEEM_POINTS_MAX = 50
_SKUS = 65_000


class Requests:
    """A source of requests for `members`; the keys of no two sources are alike."""

    def __init__(self, members: Members, *, with_lines: bool) -> None:
        self._members = members
        self._with_lines = with_lines
        self._run_id = secrets.token_hex(6)
        self._numbers = count(1)
        self._random = random.Random()

    def accrue(self) -> AccrueRequest:
        """A receipt, paid with money, that happened now."""
        request = AccrueRequest()
        self._fill(request)
        return request

    def checkout(self, lines: int) -> CheckoutRequest:
        """A receipt of so many lines of every category and brand, of which points pay nothing yet."""
        request = CheckoutRequest()
        self._fill(request)
        request.receipt.CopyFrom(self._basket(request.receipt.receipt_id, lines))
        return request

    def _basket(self, receipt_id: str, lines: int) -> Receipt:
        items = [
            LineItem(
                sku=f"sku-{self._random.randrange(_SKUS)}",
                quantity_milli=1_000,
                amount_minor=self._random.randint(1, 1_000),
                category=CATEGORIES[number % len(CATEGORIES)],
                brand=BRANDS[number % len(BRANDS)],
            )
            for number in range(lines)
        ]
        total_minor = sum(item.amount_minor for item in items)
        return Receipt(receipt_id=receipt_id, total_minor=total_minor, lines=items)

    def redeem(self) -> RedeemRequest:
        """The same with a few points, be they there or not."""
        request = RedeemRequest(redeem_points=self._random.randint(1, _REDEEM_POINTS_MAX))
        self._fill(request)
        return request

    def _fill(self, request: AccrueRequest | RedeemRequest | CheckoutRequest) -> None:
        number = next(self._numbers)
        request.idempotency_key = f"{self._run_id}-{number}"
        request.member_id = self._members.draw()
        request.occurred_at.FromMicroseconds(time.time_ns() // 1_000)
        request.store_id = f"store-{self._random.randrange(_STORES)}"
        request.terminal_id = f"till-{self._random.randrange(_TERMINALS)}"
        receipt = draw_receipt(self._random, f"receipt-{number}", with_lines=self._with_lines)
        request.receipt.CopyFrom(receipt)


def idempotency_key(request: OperationRequest) -> str:
    """The key of whatever kind of operation this is."""
    key: str = getattr(request, kind(request)).idempotency_key
    return key


def kind(request: OperationRequest) -> str:
    """The name of the field that is set: accrue, redeem or checkout."""
    name = request.WhichOneof("request")
    assert name
    return name
