"""Receipts as requests of the contract."""

from collections.abc import Iterator

import pandas as pd

from benchmarks.replay.events import Comeback, Event, Header
from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    CheckoutRequest,
    OperationRequest,
    ReturnedLine,
    ReturnRequest,
)


class Requests:
    """Builds requests from the lines of all receipts; `run_id` keeps the keys of two replays apart."""

    def __init__(self, lines: pd.DataFrame, run_id: str) -> None:
        self._run_id = run_id
        self._skus = lines.sku.to_numpy()
        self._quantities = lines.quantity_milli.to_numpy()
        self._amounts = lines.amount_minor.to_numpy()
        self._categories = lines.category.cat.codes.to_numpy()
        self._category_names: list[str] = lines.category.cat.categories.tolist()

    def quantities_milli(self, header: Header) -> list[int]:
        """Of each line of a receipt."""
        quantities: list[int] = self._quantities[header.first_line : header.end_line].tolist()
        return quantities

    def accrue(self, header: Header, *, is_offline: bool) -> OperationRequest:
        """The receipt of a household that never redeems."""
        request = AccrueRequest()
        self._fill_sale(request, header)
        return OperationRequest(accrue=request, offline=is_offline)

    def checkout(self, header: Header, redeem_points: int, *, is_offline: bool) -> OperationRequest:
        """The receipt of one that does."""
        request = CheckoutRequest(redeem_points=redeem_points)
        self._fill_sale(request, header)
        return OperationRequest(checkout=request, offline=is_offline)

    def bring_back(self, comeback: Comeback) -> OperationRequest:
        """Goods of an earlier receipt."""
        request = ReturnRequest(original_idempotency_key=f"{self._run_id}-{comeback.basket_id}")
        self._fill(request, comeback)
        for line_number, quantity_milli in comeback.lines:
            request.lines.append(ReturnedLine(line_number=line_number, quantity_milli=quantity_milli))
        return OperationRequest(return_goods=request)

    def _fill(self, request: AccrueRequest | CheckoutRequest | ReturnRequest, event: Event) -> None:
        request.idempotency_key = f"{self._run_id}-{event.name}"
        request.member_id = event.household_id
        request.occurred_at.FromMicroseconds(event.occurred_at_us)
        request.store_id = str(event.store_id)

    def _fill_sale(self, request: AccrueRequest | CheckoutRequest, header: Header) -> None:
        self._fill(request, header)
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
