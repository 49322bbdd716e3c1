"""Messages around stored replies, put together as bytes: what was stored is passed on, not parsed again.

Each field is a tag byte (number << 3 | wire type), the length as a varint, and the bytes.
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


def operation_result(idempotency_key: str, reply: Reply) -> bytes:
    """Bytes of loyalty.v1.OperationResult."""
    body_tag = _RESULT_OPERATION if reply.outcome is Outcome.APPLIED else _RESULT_ERROR
    key = _field(_RESULT_KEY, idempotency_key.encode()) if idempotency_key else b""
    replayed = _RESULT_REPLAYED if reply.replayed else b""
    return key + replayed + _field(body_tag, reply.body)


def results_response(results: Iterable[bytes]) -> bytes:
    """Bytes of loyalty.v1.ProcessBatchResponse, and of ProcessStreamResponse, which is the same."""
    return b"".join([_field(_RESPONSE_RESULTS, result) for result in results])


def operations_page(results: Iterable[bytes], next_page_token: str) -> bytes:
    """Bytes of loyalty.v1.ListOperationsResponse."""
    token = _field(_RESPONSE_NEXT_PAGE_TOKEN, next_page_token.encode()) if next_page_token else b""
    return results_response(results) + token


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number < 1 << 7:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80,)) + _varint(number >> 7)
