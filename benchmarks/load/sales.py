"""Requests of a till as bytes, put together from parts that were encoded beforehand.

A message of protobuf is its fields one after the other, in any number of parts.
"""

import random
import secrets
import time
from collections.abc import Iterator
from itertools import count
from typing import Final, NamedTuple

from benchmarks.load.fields import field, tag, varint
from benchmarks.members import Members
from benchmarks.receipts import draw_receipt
from loyalty.v1.transaction_service_pb2 import AccrueRequest, RedeemRequest

_STORES: Final = 400
_TERMINALS: Final = 20
_REDEEM_POINTS_MAX: Final = 50
# Receipts that differ in more than their number.
_RECEIPTS: Final = 2_000
# Drawn at a time; their occurred_at is the same.
_DRAWN: Final = 500

_KEY: Final = tag(1, has_length=True)
_MEMBER_ID: Final = tag(2)
_RECEIPT: Final = tag(7, has_length=True)
_RECEIPT_ID: Final = tag(1, has_length=True)
# A key and a receipt_id are such a prefix and the sale's number, in ten digits.
_RUN_ID_CHARS: Final = 12
_RECEIPT_PREFIX: Final = b"receipt"
_NUMBER_CHARS: Final = 11
_KEY_CHARS: Final = _RUN_ID_CHARS + _NUMBER_CHARS
_KEY_START: Final = len(_KEY + varint(_KEY_CHARS))
_KEY_END: Final = _KEY_START + _KEY_CHARS


class Sale(NamedTuple):
    """An AccrueRequest or RedeemRequest; `kind` is its field in OperationRequest."""

    kind: str
    body: bytes

    @property
    def key(self) -> str:
        """The idempotency key, which is the first field."""
        return self.body[_KEY_START:_KEY_END].decode()


class _Receipt(NamedTuple):
    """Store, terminal and receipt, around the receipt's number."""

    before: bytes
    after: bytes


class Sales:
    """A source of sales for `members`; the keys of no two sources are alike."""

    def __init__(self, members: Members, *, with_lines: bool) -> None:
        self._random = random.Random()
        self._key_head = _KEY + varint(_KEY_CHARS) + secrets.token_hex(_RUN_ID_CHARS // 2).encode()
        self._receipts = [self._receipt(with_lines=with_lines) for _ in range(_RECEIPTS)]
        self._redeemed = [
            RedeemRequest(redeem_points=points).SerializeToString()
            for points in range(1, _REDEEM_POINTS_MAX + 1)
        ]
        self._parts = self._draw_parts(members)

    def _receipt(self, *, with_lines: bool) -> _Receipt:
        place = AccrueRequest(
            store_id=f"store-{self._random.randrange(_STORES)}",
            terminal_id=f"till-{self._random.randrange(_TERMINALS)}",
        ).SerializeToString()
        content = draw_receipt(self._random, "", with_lines=with_lines).SerializeToString()
        receipt_id = field(_RECEIPT_ID, _RECEIPT_PREFIX + _number(0))
        head = receipt_id[:-_NUMBER_CHARS]
        return _Receipt(place + _RECEIPT + varint(len(receipt_id) + len(content)) + head, content)

    def _draw_parts(self, members: Members) -> Iterator[tuple[bytes, bytes, _Receipt]]:
        """What differs from sale to sale: its number, whose it is and when, what was sold."""
        numbers = count(1)
        while True:
            request = AccrueRequest()
            request.occurred_at.FromMicroseconds(time.time_ns() // 1_000)
            occurred_at = request.SerializeToString()
            receipts = self._random.choices(self._receipts, k=_DRAWN)
            drawn = zip(members.draw_many(_DRAWN), receipts, strict=True)
            for (member_id, receipt), number in zip(drawn, numbers, strict=False):
                yield _number(number), _MEMBER_ID + varint(member_id) + occurred_at, receipt

    def accrue(self) -> Sale:
        """A receipt, paid with money, that happened just now."""
        return self._sale("accrue", b"")

    def redeem(self) -> Sale:
        """The same with a few points, be they there or not."""
        return self._sale("redeem", self._random.choice(self._redeemed))

    def _sale(self, kind: str, rest: bytes) -> Sale:
        number, who_and_when, receipt = next(self._parts)
        body = b"".join((self._key_head, number, who_and_when, receipt.before, number, receipt.after, rest))
        return Sale(kind, body)


def _number(number: int) -> bytes:
    return b"-%010d" % number
