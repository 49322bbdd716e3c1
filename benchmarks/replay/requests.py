"""Receipts as requests of the contract."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import AccrueRequest, CheckoutRequest, OperationRequest


class Header(NamedTuple):
    """A receipt without its lines, which are the rows from `first_line` to before `end_line`."""

    basket_id: int
    household_id: int
    store_id: int
    occurred_at_us: int
    total_minor: int
    first_line: int
    end_line: int


class Requests:
    """Builds requests from the lines of all receipts; `run_id` keeps the keys of two replays apart."""

    def __init__(self, lines: pd.DataFrame, run_id: str) -> None:
        self._run_id = run_id
        self._skus = lines.sku.to_numpy()
        self._quantities = lines.quantity_milli.to_numpy()
        self._amounts = lines.amount_minor.to_numpy()
        self._categories = lines.category.cat.codes.to_numpy()
        self._category_names: list[str] = lines.category.cat.categories.tolist()

    def accrue(self, header: Header) -> OperationRequest:
        """The receipt of a household that never redeems."""
        request = AccrueRequest()
        self._fill(request, header)
        return OperationRequest(accrue=request)

    def checkout(self, header: Header, redeem_points: int) -> OperationRequest:
        """The receipt of one that does."""
        request = CheckoutRequest(redeem_points=redeem_points)
        self._fill(request, header)
        return OperationRequest(checkout=request)

    def _fill(self, request: AccrueRequest | CheckoutRequest, header: Header) -> None:
        request.idempotency_key = f"{self._run_id}-{header.basket_id}"
        request.member_id = header.household_id
        request.occurred_at.FromMicroseconds(header.occurred_at_us)
        request.store_id = str(header.store_id)
        request.receipt.CopyFrom(
            Receipt(
                receipt_id=str(header.basket_id),
                total_minor=header.total_minor,
                lines=self._line_items(header),
            )
        )

    def _line_items(self, header: Header) -> Iterator[LineItem]:
        rows = slice(header.first_line, header.end_line)
        columns = (self._skus, self._quantities, self._amounts, self._categories)
        for sku, quantity_milli, amount_minor, category in zip(
            *(column[rows].tolist() for column in columns), strict=True
        ):
            yield LineItem(
                sku=str(sku),
                quantity_milli=quantity_milli,
                amount_minor=amount_minor,
                category=self._category_names[category],
            )
