"""The fingerprint of a call's payload: tells a repeat from a reuse of its key, and names what differs."""

import struct
from hashlib import blake2b
from itertools import zip_longest
from typing import Final
from zlib import crc32

from processor.domain.command import UNSET_FIELDS, Command, lines_text

FIELDS: Final = (
    "kind",
    "member",
    "occurred_at",
    "store_id",
    "terminal_id",
    "receipt.receipt_id",
    "receipt.total_minor",
    "receipt.lines",
    "redeem_points",
)
# Fields that only some calls have: they are part of a fingerprint up to the last one that is set.
MORE_FIELDS: Final = (
    "offline",
    "reward_ids",
    "quote_token",
    "original_idempotency_key",
    "lines",
    "points",
    "hold_seconds",
    "reason",
)
_ALL_FIELDS: Final = FIELDS + MORE_FIELDS
_DIGEST_BYTES: Final = 16
_CHECK_BYTES: Final = 4
_EMPTY_CHECK: Final = crc32(b"")


def fingerprint(command: Command, receipt_lines: str | None = None) -> bytes:
    """Return a 16-byte BLAKE2b digest of the payload, then a CRC-32 of each of its fields.

    That is 52 bytes, and 4 more for each of `MORE_FIELDS` up to the last one that is set. Equality is
    decided by the digest; the checks only name the fields that differ. The idempotency key is not part of
    the payload. `receipt_lines` is their `lines_text`, if it is at hand.
    """
    receipt, card, kind = command.receipt, command.card, int(command.kind)
    if receipt_lines is None:
        receipt_lines = lines_text(receipt.lines)
    values = [
        b"%d" % kind,
        f"{card}c".encode() if card else b"%dm" % command.member_id,
        b"%d" % command.occurred_at_us,
        command.store_id.encode(),
        command.terminal_id.encode(),
        receipt.receipt_id.encode(),
        b"%d" % receipt.total_minor,
        receipt_lines.encode(),
        b"%d" % command.redeem_points,
    ]
    more = command[-len(MORE_FIELDS) :]
    if more != UNSET_FIELDS:
        values += _more_values(more)
    checks = struct.pack(f"<{len(values)}I", *map(crc32, values))
    # Identifiers are printable, so the separators cannot occur in a value.
    return blake2b(b"\0".join(values), digest_size=_DIGEST_BYTES).digest() + checks


def _more_values(more: tuple[object, ...]) -> tuple[bytes, ...]:
    """The fields up to the last that is set; one that is not set is empty."""
    pairs = list(zip(more, UNSET_FIELDS, strict=True))
    last = max(at for at, (value, default) in enumerate(pairs) if value != default)
    return tuple(b"" if value == default else _text(value).encode() for value, default in pairs[: last + 1])


def _text(value: object) -> str:
    return "\n".join(map(_part_text, value)) if isinstance(value, tuple) else str(value)


def _part_text(part: object) -> str:
    return "\t".join(map(str, part)) if isinstance(part, tuple) else str(part)


def differing_fields(recorded: bytes, repeated: bytes) -> list[str]:
    """Name the fields in which two fingerprints differ; empty only if they are equal.

    Values of one CRC-32 hide which field it is; then all are named.
    """
    if recorded[:_DIGEST_BYTES] == repeated[:_DIGEST_BYTES]:
        return []
    checks = zip_longest(_checks(recorded), _checks(repeated), fillvalue=_EMPTY_CHECK)
    named = [field for field, (was, now) in zip(_ALL_FIELDS, checks, strict=False) if was != now]
    return named or list(FIELDS)


def _checks(value: bytes) -> tuple[int, ...]:
    count = (len(value) - _DIGEST_BYTES) // _CHECK_BYTES
    return struct.unpack(f"<{count}I", value[_DIGEST_BYTES:])
