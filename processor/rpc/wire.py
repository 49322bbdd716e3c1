"""Messages as bytes, put together by hand where that is worth it: around stored replies, and on the hot path.

Each field is a tag (number << 3 | wire type, as a varint), then a varint, or the length as a varint and the
bytes. Fields that hold their default are left out.
"""

from collections.abc import Iterable
from typing import Final

from processor.domain.outcomes import Outcome
from processor.ports import Reply

_RESULT_KEY: Final = b"\x0a"
_RESULT_REPLAYED: Final = b"\x10\x01"
_RESULT_OPERATION: Final = b"\x1a"
_RESULT_ERROR: Final = b"\x22"
_RESPONSE_RESULTS: Final = b"\x0a"
_RESPONSE_NEXT_PAGE_TOKEN: Final = b"\x12"

# What does not fit into so many bytes any more.
_TWO_BYTES: Final = 1 << 14
_FOUR_BYTES: Final = 1 << 28
_TWO_BYTES_MASK: Final = _TWO_BYTES - 1
_UINT64_MASK: Final = 2**64 - 1
# Varints of up to two bytes as they are, and pairs of bytes that are followed by others.
_VARINTS: Final = [
    bytes((number,) if number < 1 << 7 else (number & 0x7F | 0x80, number >> 7))
    for number in range(_TWO_BYTES)
]
_PAIRS: Final = [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(_TWO_BYTES)]


def varint(number: int) -> bytes:
    """An integer of 0 or more."""
    if number < _TWO_BYTES:
        return _VARINTS[number]
    pair = _PAIRS[number & _TWO_BYTES_MASK]
    if number < _FOUR_BYTES:
        return pair + _VARINTS[number >> 14]
    return pair + _PAIRS[number >> 14 & _TWO_BYTES_MASK] + varint(number >> 28)


def tag(number: int, *, has_length: bool = False) -> bytes:
    """The tag of a field of integers, or of one with a length: texts, bytes, messages."""
    return varint(number << 3 | (2 if has_length else 0))


def integer_field(field_tag: bytes, number: int) -> bytes:
    """An integer, also below zero; nothing if it is 0."""
    if 0 < number < _TWO_BYTES:
        return field_tag + _VARINTS[number]
    return field_tag + varint(number & _UINT64_MASK) if number else b""


def field(field_tag: bytes, content: bytes) -> bytes:
    """Bytes, even if they are none."""
    return field_tag + varint(len(content)) + content


def text_field(field_tag: bytes, text: str) -> bytes:
    """A text; nothing if it is empty."""
    if not text:
        return b""
    content = text.encode()
    return field_tag + varint(len(content)) + content


def operation_result(idempotency_key: str, reply: Reply) -> bytes:
    """Bytes of loyalty.v1.OperationResult."""
    body_tag = _RESULT_OPERATION if reply.outcome is Outcome.APPLIED else _RESULT_ERROR
    replayed = _RESULT_REPLAYED if reply.replayed else b""
    return text_field(_RESULT_KEY, idempotency_key) + replayed + field(body_tag, reply.body)


def results_response(results: Iterable[bytes]) -> bytes:
    """Bytes of loyalty.v1.ProcessBatchResponse, and of ProcessStreamResponse, which is the same."""
    return b"".join([field(_RESPONSE_RESULTS, result) for result in results])


def operations_page(results: Iterable[bytes], next_page_token: str) -> bytes:
    """Bytes of loyalty.v1.ListOperationsResponse."""
    return results_response(results) + text_field(_RESPONSE_NEXT_PAGE_TOKEN, next_page_token)
