"""docs/scaling.md: every cell of the sizing follows from the inputs below it, and those from measurements."""

import math
import re
from pathlib import Path
from statistics import mean
from typing import Final

import pytest

from processor.app.parts import CONNECTIONS_BESIDE_LANES, READ_CONNECTIONS
from processor.config import Settings

DOCS: Final = Path(__file__).parents[2] / "docs"
SCALING: Final = (DOCS / "scaling.md").read_text()
PERFORMANCE: Final = (DOCS / "performance.md").read_text()

TIMES: Final = "\N{MULTIPLICATION SIGN}"
DAYS_KEPT: Final = 90
DAYS_OF_A_UNIT: Final = {"month": 30, "week": 7, "day": 1}
# Its health has one of its own.
CONNECTIONS: Final = Settings.model_fields["lanes"].default + CONNECTIONS_BESIDE_LANES + READ_CONNECTIONS + 1
# Rows of the table of what was measured.
WITHOUT_LINES: Final = ("unary", "batch of 500")
WITH_LINES: Final = ("unary, 20 lines",)

Row = dict[str, str]


def table(first_heading: str, document: str = SCALING) -> list[Row]:
    """The rows of the table whose first column has this heading."""
    lines = document.splitlines()
    [start] = [number for number, line in enumerate(lines) if line.startswith(f"| {first_heading} |")]
    headings = cells(lines[start])
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(headings, cells(line), strict=True)))
    return rows


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def number(text: str) -> float:
    """The number that a cell begins with."""
    found = re.match(r"[\d,]+(\.\d+)?", text)
    assert found, text
    return float(found[0].replace(",", ""))


INPUTS: Final = {row["input"]: number(row["value"]) for row in table("input")}
MEASURED: Final = {row["load"]: row for row in table("load")}
BUSY: Final = table("receipts a day, peak a second")
DISK: Final = table("receipts a day, each with")
SUBJECTS: Final = {row["subject"]: row for row in table("subject | operations/s", PERFORMANCE)}


def rounded(value: float) -> str:
    """To two digits."""
    return f"{float(f'{value:.2g}'):,.15g}"


def bytes_of(value: float) -> str:
    """In the largest unit that leaves one before the point."""
    units = {"TB": 1e12, "GB": 1e9, "MB": 1e6}
    unit = next(unit for unit, size in units.items() if float(f"{value:.2g}") >= size or unit == "MB")
    return f"{rounded(value / units[unit])} {unit}"


def receipts(row: Row) -> float:
    return number(next(iter(row.values()))) * 1e6


def peak(receipts_a_day: float) -> float:
    """Operations in the busiest second."""
    share, to_mean = (
        INPUTS["share of a day in its busiest hour"],
        INPUTS["busiest second, to that hour's mean"],
    )
    return receipts_a_day * share / 100 / 3_600 * to_mean


def cores(operations_a_second: float, cpu_us: float) -> float:
    return operations_a_second * cpu_us / 1e6 / (INPUTS["use of a core, at most"] / 100)


def unit_of(row: Row) -> str:
    """How long the partitions are that a row of either table reckons with."""
    [unit] = {
        each["unit of partitions, index of the live one"].split(",")[0]
        for each in DISK
        if receipts(each) == receipts(row)
    }
    return unit


def look_ups_us(unit: str) -> float:
    """What they take more than with partitions of a month."""
    return 0 if unit == "month" else INPUTS[f"look-ups by {unit}, more than by month"]


@pytest.mark.parametrize("row", BUSY, ids=lambda row: next(iter(row.values())))
def test_the_cores_and_pods(row: Row) -> None:
    per_second = peak(receipts(row))
    service = cores(per_second, INPUTS["CPU of the service, a call of its own"])
    call_us = INPUTS["CPU of PostgreSQL, a call of its own"]
    postgres = cores(per_second, call_us + look_ups_us(unit_of(row)))
    pods, workers = map(int, row[f"pods {TIMES} workers"].split(f" {TIMES} "))

    assert row["receipts a day, peak a second"].endswith(f"million, {per_second:,.0f}")
    assert row["service cores"] == rounded(service)
    assert row["PostgreSQL cores"] == rounded(postgres)
    assert pods == max(2, math.ceil(math.ceil(service) / workers) + 1)
    assert row["connections"] == f"{pods * workers * CONNECTIONS:,}"


@pytest.mark.parametrize("row", DISK, ids=lambda row: next(iter(row.values())))
def test_the_disk_and_the_wal(row: Row) -> None:
    a_day = receipts(row)
    lines = INPUTS["20 lines"] if row["receipts a day, each with"].endswith("20 lines") else 0
    wal = INPUTS["WAL, with 20 lines" if lines else "WAL"]
    ledger = a_day * (INPUTS["row"] + INPUTS["its two indexes"] + lines)
    unit, index = row["unit of partitions, index of the live one"].split(", ", 1)

    assert row["ledger a day / 90 days"] == f"{bytes_of(ledger)} / {bytes_of(ledger * DAYS_KEPT)}"
    assert row["WAL a day, peak"] == f"{bytes_of(a_day * wal)}, {bytes_of(peak(a_day) * wal)}/s"
    assert index.split(":")[0] == bytes_of(a_day * DAYS_OF_A_UNIT[unit] * INPUTS["its two indexes"])


def test_both_tables_are_of_the_same_receipts() -> None:
    assert {receipts(row) for row in DISK} == {receipts(row) for row in BUSY}
    assert len(DISK) == 2 * len(BUSY)


@pytest.mark.parametrize(
    "way, subject",
    [
        ("a call of its own", "unary"),
        ("the same over native", "unary, native"),
        ("in batches of 500", "batch of 500"),
    ],
)
def test_the_cpu_is_that_of_the_latest_figures(way: str, subject: str) -> None:
    assert INPUTS[f"CPU of the service, {way}"] == number(SUBJECTS[subject]["server us"])
    assert INPUTS[f"CPU of PostgreSQL, {way}"] == number(SUBJECTS[subject]["PostgreSQL us"])


def measured(column: str, *loads: str) -> float:
    """The mean of some loads."""
    rows = [row for name, row in MEASURED.items() if name.rpartition(", ")[0] in loads]
    assert rows
    return mean(number(row[column]) for row in rows)


def test_the_bytes_are_the_means_of_what_was_measured() -> None:
    row = measured("row bytes", *WITHOUT_LINES)

    assert INPUTS["row"] == round(row)
    assert INPUTS["20 lines"] == round(measured("row bytes", *WITH_LINES) - row)
    assert INPUTS["its two indexes"] == round(measured("index bytes", *WITHOUT_LINES, *WITH_LINES))


@pytest.mark.parametrize("wal, load", [("WAL", "unary"), ("WAL, with 20 lines", "unary, 20 lines")])
def test_the_wal_has_room_for_page_images(wal: str, load: str) -> None:
    """A checkpoint every hundred and fifty thousand operations, or seldomer."""
    first, later = (
        number(MEASURED[f"{load}, {when}"]["WAL bytes"]) for when in ("after a checkpoint", "later")
    )
    images = (first - later) * 50_000 / 150_000

    assert later + images <= INPUTS[wal] < later + 2 * images


def test_what_the_text_reckons() -> None:
    account, card = INPUTS["account of a member"], INPUTS["card"]
    ratio = INPUTS["CPU of the service, a call of its own"] / INPUTS["CPU of the service, in batches of 500"]

    assert f"10 million of each are {bytes_of(1e7 * (account + card))}" in " ".join(SCALING.split())
    assert round(ratio) == 3
    assert "need a third of the service's cores" in " ".join(SCALING.split())
