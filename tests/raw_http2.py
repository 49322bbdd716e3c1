"""HTTP/2 by hand, for clients as no library makes them: they break off, send nonsense, or read nothing."""

import asyncio
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM: Final = 1
END_HEADERS: Final = 4
INITIAL_WINDOW_SIZE: Final = 4


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack("!HI", *pair) for pair in values.items()))


def call(stream: int, path: str, message: bytes, api_key: str) -> bytes:
    """The frames of a unary call, its message in frames of 16 KiB."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        "authorization": f"Bearer {api_key}",
    }
    body = b"\0" + struct.pack("!I", len(message)) + message
    parts = [body[start : start + 16_384] for start in range(0, len(body), 16_384)]
    frames = [frame(DATA, 0, stream, part) for part in parts[:-1]]
    return b"".join([headers(stream, fields), *frames, frame(DATA, END_STREAM, stream, parts[-1])])


def headers(stream: int, fields: Mapping[str, str]) -> bytes:
    """HEADERS with nothing compressed."""
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    return frame(HEADERS, END_HEADERS, stream, block)


def _text(text: str) -> bytes:
    assert len(text) < 127
    return bytes((len(text),)) + text.encode()


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """Raises IncompleteReadError at the end of the connection."""
    head = await reader.readexactly(9)
    kind, flags, stream = struct.unpack("!BBI", head[3:])
    return Frame(kind, flags, stream, await reader.readexactly(int.from_bytes(head[:3])))
