"""The fingerprint of a call's payload: tells a repeat from a reuse of its key, and names what differs."""

import struct
from hashlib import blake2b
from typing import Final
from zlib import crc32

from processor.domain.command import Command, LineItem

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
_DIGEST_BYTES: Final = 16
_CHECKS: Final = struct.Struct(f"<{len(FIELDS)}I")


def fingerprint(command: Command) -> bytes:
    """Return 52 bytes: a 16-byte BLAKE2b digest of the payload, then a CRC-32 of each of `FIELDS`.

    Equality is decided by the digest; the checks only name the fields that differ. The idempotency key is
    not part of the payload.
    """
    receipt = command.receipt
    values = (
        b"%d" % command.kind,
        (command.card or str(command.member_id)).encode() + (b"c" if command.card else b"m"),
        b"%d" % command.occurred_at_us,
        command.store_id.encode(),
        command.terminal_id.encode(),
        receipt.receipt_id.encode(),
        b"%d" % receipt.total_minor,
        "\n".join(map(_line_text, receipt.lines)).encode() if receipt.lines else b"",
        b"%d" % command.redeem_points,
    )
    # Identifiers are printable, so the separators cannot occur in a value.
    digest = blake2b(b"\0".join(values), digest_size=_DIGEST_BYTES).digest()
    return digest + _CHECKS.pack(*map(crc32, values))


def _line_text(line: LineItem) -> str:
    return f"{line.sku}\t{line.quantity_milli}\t{line.amount_minor}\t{line.category}"


def differing_fields(recorded: bytes, repeated: bytes) -> list[str]:
    """Name the fields of `FIELDS` in which two fingerprints differ; empty only if they are equal.

    Values of one CRC-32 hide which field it is; then all are named.
    """
    if recorded[:_DIGEST_BYTES] == repeated[:_DIGEST_BYTES]:
        return []
    pairs = zip(_checks(recorded), _checks(repeated), strict=True)
    named = [field for field, (was, now) in zip(FIELDS, pairs, strict=True) if was != now]
    return named or list(FIELDS)


def _checks(value: bytes) -> tuple[int, ...]:
    return _CHECKS.unpack(value[_DIGEST_BYTES:])
