"""Rows of the ledger as COPY reads them in binary: what asyncpg makes of them, in a fraction of the time.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". A row is the number of its
columns, and each column its length in four bytes and its value, numbers in network order.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from librt.strings import BytesWriter, write_i16_be, write_i32_be, write_i64_be
from mypy_extensions import i16, i32, i64

from processor.domain.operation import Operation
from storage.epoch import POSTGRES_EPOCH_US

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
# What is sent at once, as by asyncpg. The rest is another COPY: asyncpg takes a buffer whole.
_PAYLOAD_BYTES: Final = 512 * 1_024

COPIED_COLUMNS: Final = (
    "chain_id",
    "occurred_at",
    "recorded_at",
    "member_id",
    "member_sequence",
    "kind",
    "outcome",
    "earned_points",
    "redeemed_points",
    "balance_points",
    "total_minor",
    "redeemed_minor",
    "program_version",
    "discount_minor",
    "idempotency_key",
    "store_id",
    "terminal_id",
    "receipt_id",
    "original_key",
    "reason",
    "receipt_lines",
    "effects",
    "fingerprint",
    "response",
    "entry_hash",
)


def copy_payloads(operations: Iterable[Operation]) -> Iterator[memoryview]:
    """What is to be copied, as one COPY each: nearly always a single one."""
    writer = _begun()
    for operation in operations:
        _write_numbers(writer, operation)
        _write_texts(writer, operation)
        if len(writer) >= _PAYLOAD_BYTES:
            yield _ended(writer)
            writer = _begun()
    if len(writer) > len(_HEADER):
        yield _ended(writer)


def _begun() -> BytesWriter:
    writer = BytesWriter()
    writer.write(_HEADER)
    return writer


def _ended(writer: BytesWriter) -> memoryview:
    """Not as bytes, which would be taken for a path."""
    writer.write(_TRAILER)
    return memoryview(writer.getvalue())


def _write_numbers(writer: BytesWriter, operation: Operation) -> None:
    write_i16_be(writer, len(COPIED_COLUMNS))
    _write_integer(writer, operation.chain_id)
    _write_bigint(writer, operation.occurred_at_us - POSTGRES_EPOCH_US)
    _write_bigint(writer, operation.recorded_at_us - POSTGRES_EPOCH_US)
    _write_bigint(writer, operation.member_id)
    _write_bigint(writer, operation.member_sequence)
    _write_smallint(writer, operation.kind)
    _write_smallint(writer, operation.outcome)
    _write_bigint(writer, operation.earned_points)
    _write_bigint(writer, operation.redeemed_points)
    _write_bigint(writer, operation.balance_points)
    _write_bigint(writer, operation.total_minor)
    _write_bigint(writer, operation.redeemed_minor)
    _write_integer(writer, operation.program_version)
    _write_bigint(writer, operation.discount_minor)


def _write_texts(writer: BytesWriter, operation: Operation) -> None:
    _write_bytes(writer, operation.idempotency_key.encode())
    _write_bytes(writer, operation.store_id.encode())
    _write_bytes(writer, operation.terminal_id.encode())
    _write_bytes(writer, operation.receipt_id.encode())
    _write_bytes(writer, operation.original_key.encode())
    _write_bytes(writer, operation.reason.encode())
    _write_bytes(writer, operation.receipt_lines.encode())
    _write_bytes(writer, operation.effects)
    _write_bytes(writer, operation.fingerprint)
    _write_bytes(writer, operation.response)
    _write_bytes(writer, operation.entry_hash)


def _write_smallint(writer: BytesWriter, number: i16) -> None:
    write_i32_be(writer, 2)
    write_i16_be(writer, number)


def _write_integer(writer: BytesWriter, number: i32) -> None:
    write_i32_be(writer, 4)
    write_i32_be(writer, number)


def _write_bigint(writer: BytesWriter, number: i64) -> None:
    write_i32_be(writer, 8)
    write_i64_be(writer, number)


def _write_bytes(writer: BytesWriter, value: bytes) -> None:
    write_i32_be(writer, len(value))
    writer.write(value)
