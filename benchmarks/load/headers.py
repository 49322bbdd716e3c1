"""Header blocks (HPACK, RFC 7541) that need no state on either side of a connection.

Ours are literals that are not indexed. The peer is told that its table has no room, so that equal blocks of
its mean equal fields: each is decoded once.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from hpack import Decoder, HPACKError
from hpack.hpack import encode_integer

from benchmarks.load.frames import PeerError

Fields = Mapping[str, str]

# A status with details differs from call to call; what is constant is short.
_REMEMBERED_BYTES_MAX: Final = 256
_REMEMBERED_BLOCKS_MAX: Final = 1_000
_LENGTH_BITS: Final = 7


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """A block of these fields, in this order."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    content = text.encode()
    return bytes(encode_integer(len(content), _LENGTH_BITS)) + content


class Blocks:
    """The peer's blocks."""

    def __init__(self) -> None:
        self._remembered: dict[bytes, Fields] = {}

    def decode(self, block: bytes) -> Fields:
        """The fields; of several with one name, the last. Raises PeerError."""
        fields = self._remembered.get(block)
        if fields is None:
            fields = _decode(block)
            if len(block) <= _REMEMBERED_BYTES_MAX and len(self._remembered) < _REMEMBERED_BLOCKS_MAX:
                self._remembered[block] = fields
        return fields


def _decode(block: bytes) -> Fields:
    decoder = Decoder()
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        return {str(name): str(value) for name, value in decoder.decode(block)}
    except HPACKError as error:
        raise PeerError(f"a header block that cannot be read: {error}") from None
