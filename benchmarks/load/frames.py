"""HTTP/2 frames as bytes (RFC 9113)."""

from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES: Final = 9
# Length (24 bits) and type (8 bits) as one number, flags, stream id.
HEAD: Final = Struct(">IBI")
UINT32: Final = Struct(">I")
SETTING: Final = Struct(">HI")
# Last stream id and error code; text follows.
HEAD_OF_GOAWAY: Final = Struct(">II")

DATA: Final = 0x0
HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5

# What holds until the peer's settings say otherwise.
WINDOW_BYTES: Final = 65_535
FRAME_BYTES_MAX: Final = 16_384

WINDOW_BYTES_MAX: Final = 2**31 - 1
STREAM_ID_MAX: Final = 2**31 - 1


class PeerError(Exception):
    """One line: what of the peer cannot be understood."""


class ErrorCode(IntEnum):
    """Why a stream or connection ends."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


_NAMES: Final = {code.value: code.name for code in ErrorCode}


def error_name(code: int) -> str:
    """The code's name, or its number if it has none."""
    return _NAMES.get(code, f"error {code}")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame; the payload must be no longer than the peer takes."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(**values: int) -> bytes:
    """A SETTINGS frame, by the names above in small letters."""
    pairs = (SETTING.pack(globals()[name.upper()], value) for name, value in values.items())
    return frame(SETTINGS, 0, 0, b"".join(pairs))


def window_update(stream_id: int, size_bytes: int) -> bytes:
    """Lets the peer send so many bytes more; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, UINT32.pack(size_bytes))


def without_padding(flags: int, payload: bytes) -> bytes:
    """The content of a DATA or HEADERS frame."""
    start, end = 0, len(payload)
    if flags & PADDED:
        start, end = 1, end - payload[0]
    if flags & WITH_PRIORITY:
        start += 5
    return payload[start:end]
