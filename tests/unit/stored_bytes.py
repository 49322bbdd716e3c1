"""Run by itself: prints what is stored and sent of a fixed set of operations."""

import sys
from collections.abc import Iterator
from itertools import product
from typing import Final

from processor import settlement
from processor.domain.account import Account
from processor.domain.command import Command, Kind, LineItem, Receipt
from processor.domain.decision import AppliedRule, Decision
from processor.domain.effects import Effects, LotChange
from processor.domain.fingerprint import fingerprint
from processor.domain.operation import Operation, draft_operation, entry_hash, seal
from processor.domain.outcomes import Outcome
from processor.domain.standing import Standing
from processor.domain.tiers import TierStanding
from processor.ports import Reply
from processor.rpc import wire
from processor.rpc.encoder import ProtobufEncoder
from storage.array_literals import binaries, integers, texts
from storage.copy_format import copy_payloads

NOW_US: Final = 1_760_000_000_123_456
NUMBERS: Final = (0, 1, 127, 128, 2**14, 2**28 - 1, 2**31, 2**56)
TEXTS: Final = ("", "till-1", "магазин-7", "\N{GRINNING FACE}" * 64)
LINES: Final = (LineItem("sku", 1_000, 12_345, "wine", "brand"), LineItem("none", 1, 0, ""))


def command(kind: Kind, number: int, text: str) -> Command:
    """One with this number and this text where it can have them."""
    receipt = Receipt(f"receipt-{text}", number + 1, LINES if number % 2 else ())
    return Command(
        *(kind, f"key-{text}", number + 1, "", NOW_US - number, "store", text, receipt, number),
        offline=number == 1,
        original_key=text,
        points=-number,
    )


def decision(number: int, text: str) -> Decision:
    """The same."""
    effects = Effects(lots=(LotChange(0, NOW_US, number),)) if number else Effects()
    return Decision(
        *(Outcome.APPLIED, number, number // 2, number // 3),
        discount_minor=number % 100,
        shortfall_points=number % 7,
        effects=effects,
        applied_rules=(AppliedRule("earning", number), AppliedRule(text, -number, number)),
        flags=(text,) if text else (),
    )


def recorded(kind: Kind, number: int, text: str) -> Operation:
    """The finished row."""
    account = Account(number + 1, 2**57, number, bytes(32))
    asked, decided = command(kind, number, text), decision(number, text)
    draft = draft_operation(
        asked,
        account,
        decided,
        chain_id=7,
        payload_fingerprint=fingerprint(asked),
        program_version=2**31 - 1,
        recorded_at_us=NOW_US,
    )
    standing = Standing(-number, number, number, TierStanding("gold", 2, "", number) if number % 2 else None)
    return seal(draft, ProtobufEncoder().applied(draft, decided, standing), account.entry_hash)


def told() -> Iterator[str]:
    """By lines; the first tells which code it is."""
    yield f"processor.settlement {'of sources' if settlement.__file__.endswith('.py') else 'compiled'}"
    rows = [recorded(*each) for each in product((Kind.ACCRUE, Kind.RETURN, Kind.EXPIRE), NUMBERS, TEXTS)]
    for row in rows:
        as_read = Operation._make(int(value) if isinstance(value, int) else value for value in row)
        assert entry_hash(bytes(32), as_read) == row.entry_hash
        yield f"{row.fingerprint.hex()} {row.entry_hash.hex()} {row.response.hex()}"
    for payload in copy_payloads(rows):
        yield payload.hex()
    replies = [(row.idempotency_key, Reply(Outcome.APPLIED, row.response, replayed=True)) for row in rows]
    yield wire.operations_page([wire.operation_result(*each) for each in replies], "next").hex()
    yield f"{integers([-(2**63), 0, 2**63 - 1])} {texts(TEXTS)} {binaries([b'', bytes(range(256))])}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(told()))
