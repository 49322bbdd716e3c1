"""Messages as bytes, written by hand where that is worth it: around stored replies, and on the hot path.

Each field is a tag (number << 3 | wire type, as a varint), then a varint, or the length as a varint and the
bytes. Fields that hold their default are left out. Format: https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterable
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64, u8

from processor.domain.outcomes import Outcome
from processor.ports import Reply

_HAS_LENGTH: Final = 2
# What is left of 64 bits when seven have been shifted out: a number below zero is written as all of them.
_57_BITS: Final = (1 << 57) - 1


def tag(number: int, *, has_length: bool = False) -> int:
    """The tag of a field of integers, or of one with a length: texts, bytes, messages."""
    return number << 3 | (_HAS_LENGTH if has_length else 0)


_RESULT_KEY: Final = tag(1, has_length=True)
_RESULT_REPLAYED: Final = tag(2)
_RESULT_OPERATION: Final = tag(3, has_length=True)
_RESULT_ERROR: Final = tag(4, has_length=True)
_RESPONSE_RESULTS: Final = tag(1, has_length=True)
_RESPONSE_NEXT_PAGE_TOKEN: Final = tag(2, has_length=True)


def write_varint(writer: BytesWriter, number: i64) -> None:
    """An integer, as it is."""
    while not 0 <= number < 0x80:
        writer.append(u8(number & 0x7F | 0x80))
        number = number >> 7 & _57_BITS
    writer.append(u8(number))


def write_integer(writer: BytesWriter, field_tag: i64, number: i64) -> None:
    """A field of an integer; nothing if it is 0."""
    if number:
        write_varint(writer, field_tag)
        write_varint(writer, number)


def write_bytes(writer: BytesWriter, field_tag: i64, content: bytes) -> None:
    """A field with a length, even if there is nothing in it."""
    write_varint(writer, field_tag)
    write_varint(writer, len(content))
    writer.write(content)


def write_text(writer: BytesWriter, field_tag: i64, text: str) -> None:
    """A field of a text; nothing if it is empty."""
    if text:
        write_bytes(writer, field_tag, text.encode())


def operation_result(idempotency_key: str, reply: Reply) -> bytes:
    """Bytes of loyalty.v1.OperationResult."""
    writer = BytesWriter()
    write_text(writer, _RESULT_KEY, idempotency_key)
    write_integer(writer, _RESULT_REPLAYED, int(reply.replayed))
    body_tag = _RESULT_OPERATION if reply.outcome is Outcome.APPLIED else _RESULT_ERROR
    write_bytes(writer, body_tag, reply.body)
    return writer.getvalue()


def results_response(results: Iterable[bytes]) -> bytes:
    """Bytes of loyalty.v1.ProcessBatchResponse, and of ProcessStreamResponse, which is the same."""
    return operations_page(results, "")


def operations_page(results: Iterable[bytes], next_page_token: str) -> bytes:
    """Bytes of loyalty.v1.ListOperationsResponse."""
    writer = BytesWriter()
    for result in results:
        write_bytes(writer, _RESPONSE_RESULTS, result)
    write_text(writer, _RESPONSE_NEXT_PAGE_TOKEN, next_page_token)
    return writer.getvalue()
