"""Page tokens of ListOperations: opaque to the till, bound to one member of one chain."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from struct import Struct
from typing import Final
from zlib import crc32

_POSITION: Final = Struct(">qqq")


def page_token(chain_id: int, member_id: int, before_sequence: int) -> str:
    """The token of the page whose operations come before a sequence number."""
    position = _POSITION.pack(chain_id, member_id, before_sequence)
    return urlsafe_b64encode(position + crc32(position).to_bytes(4)).decode()


def read_page_token(token: str, chain_id: int, member_id: int) -> int | None:
    """The sequence number in a token; None if this server did not give it out for this member."""
    try:
        packed = urlsafe_b64decode(token)
    except ValueError:
        return None
    if len(packed) < _POSITION.size:
        return None
    *owner, before_sequence = _POSITION.unpack_from(packed)
    is_genuine = owner == [chain_id, member_id] and token == page_token(chain_id, member_id, before_sequence)
    return before_sequence if is_genuine else None
