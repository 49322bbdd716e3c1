"""What the contract says that every call gets: a reckoning of its own, in plain Python and exact fractions.

Nothing here comes from the processor but its generated messages and the form of a program's document.
"""

import math
import time
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from loyalty.v1.transaction_service_pb2 import AccrueRequest, CheckoutRequest, RedeemRequest
from processor.domain.program_document import ProgramDocument

Write = AccrueRequest | RedeemRequest | CheckoutRequest

KIND_NUMBERS: Final[dict[type[Write], int]] = {AccrueRequest: 1, RedeemRequest: 2, CheckoutRequest: 3}
WINDOW_BACK_SECONDS: Final = 45 * 86_400
WINDOW_AHEAD_SECONDS: Final = 600
BALANCE_POINTS_MAX: Final = 10**15


class Outcome(NamedTuple):
    """`content` has the fields of the operation if `reason` is "", else the metadata of the error."""

    reason: str
    content: Mapping[str, object]


class Entry:
    """What the model has under a key; `reply` is the first reply's bytes, once they have been seen."""

    def __init__(self, payload: Mapping[str, object], outcome: Outcome) -> None:
        self.payload = payload
        self.outcome = outcome
        self.reply: bytes | None = None


class Expected(NamedTuple):
    """A predicted reply; `entry` is what it is recorded as, None if it is not."""

    outcome: Outcome
    replayed: bool = False
    entry: Entry | None = None


class Model:
    """The members of one chain, as an observer of every call reckons them."""

    def __init__(self, program: ProgramDocument, member_ids: Iterable[int], cards: Mapping[str, int]) -> None:
        self.program = program
        self.balances = dict.fromkeys(member_ids, 0)
        self.histories: dict[int, list[str]] = {member_id: [] for member_id in self.balances}
        self.entries: dict[str, Entry] = {}
        self._cards = cards

    def apply(self, request: Write) -> Expected:
        """Predict the reply to a request that is valid but for an empty store_id, and take its effect."""
        if not request.store_id:
            return Expected(Outcome("INVALID_REQUEST", {}))
        payload = payload_of(request)
        entry = self.entries.get(request.idempotency_key)
        if entry:
            return self._repeat(entry, payload)
        if refusal := self._refusal_before_record(request):
            return Expected(refusal)
        entry = Entry(payload, self._record(request, self.member_id_of(request)))
        self.entries[request.idempotency_key] = entry
        return Expected(entry.outcome, entry=entry)

    def find(self, idempotency_key: str) -> Expected:
        """Predict the reply to GetOperation."""
        entry = self.entries.get(idempotency_key)
        if not entry:
            return Expected(Outcome("OPERATION_NOT_FOUND", {}))
        return Expected(entry.outcome, replayed=True, entry=entry)

    def history(self, member_id: int) -> list[tuple[str, Expected]]:
        """Predict ListOperations: (key, reply), the newest first."""
        return [(key, self.find(key)) for key in reversed(self.histories[member_id])]

    def member_id_of(self, request: Write) -> int:
        """0 if there is no such member."""
        if request.WhichOneof("member") == "card":
            return self._cards.get(request.card, 0)
        return request.member_id if request.member_id in self.balances else 0

    def _repeat(self, entry: Entry, payload: Mapping[str, object]) -> Expected:
        differing = [field for field, value in payload.items() if entry.payload[field] != value]
        if differing:
            return Expected(Outcome("IDEMPOTENCY_KEY_REUSED", {"differing_fields": ",".join(differing)}))
        return Expected(entry.outcome, replayed=True, entry=entry)

    def _refusal_before_record(self, request: Write) -> Outcome | None:
        earliest, latest = time.time() - WINDOW_BACK_SECONDS, time.time() + WINDOW_AHEAD_SECONDS
        if not earliest <= occurred_at_us(request) / 1e6 <= latest:
            return Outcome("OCCURRED_AT_OUT_OF_WINDOW", {"earliest": earliest, "latest": latest})
        return None if self.member_id_of(request) else Outcome("MEMBER_NOT_FOUND", {})

    def _record(self, request: Write, member_id: int) -> Outcome:
        self.histories[member_id].append(request.idempotency_key)
        wanted = redeem_points_of(request)
        refusal = self._redemption_refusal(wanted, request.receipt.total_minor, self.balances[member_id])
        if refusal:
            return refusal
        redeemed_minor = math.floor(wanted * self._point_minor)
        earned = 0 if isinstance(request, RedeemRequest) else self._earned(request, redeemed_minor)
        balance = self.balances[member_id] + earned - wanted
        if balance > BALANCE_POINTS_MAX:
            return Outcome("BALANCE_OUT_OF_RANGE", {"balance_points": str(self.balances[member_id])})
        self.balances[member_id] = balance
        return Outcome("", self._operation(request, member_id, earned, redeemed_minor))

    @property
    def _point_minor(self) -> Fraction:
        redemption = self.program["redemption"]
        return Fraction(redemption["value_minor"], redemption["value_points"])

    def _redemption_refusal(self, wanted: int, total_minor: int, balance: int) -> Outcome | None:
        redemption = self.program["redemption"]
        share_minor = total_minor * redemption["maximum_share_percent"] // 100
        # The most points whose value, without its fraction, is within the share.
        limit = math.ceil((share_minor + 1) / self._point_minor) - 1
        refusals = [
            (wanted < redemption["minimum_points"], "REDEMPTION_BELOW_MINIMUM", "minimum_points"),
            (wanted > limit, "REDEMPTION_ABOVE_LIMIT", "limit_points"),
            (wanted > balance, "INSUFFICIENT_POINTS", "balance_points"),
        ]
        bounds = {
            "minimum_points": redemption["minimum_points"],
            "limit_points": limit,
            "balance_points": balance,
        }
        for applies, reason, bound in refusals:
            if wanted and applies:
                return Outcome(reason, {bound: str(bounds[bound]), "redeem_points": str(wanted)})
        return None

    def _earned(self, request: Write, redeemed_minor: int) -> int:
        earning = self.program["earning"]
        amounts = [line.amount_minor for line in request.receipt.lines]
        if earning["rounding_scope"] == "receipt" or not amounts:
            amounts = [request.receipt.total_minor]
        paid = [amount - share for amount, share in zip(amounts, split(redeemed_minor, amounts), strict=True)]
        steps = [round_fraction(Fraction(part, earning["step_minor"]), earning["rounding"]) for part in paid]
        return sum(steps) * earning["points_per_step"]

    def _operation(
        self, request: Write, member_id: int, earned: int, redeemed_minor: int
    ) -> dict[str, object]:
        return {
            "idempotency_key": request.idempotency_key,
            "kind": KIND_NUMBERS[type(request)],
            "member_id": member_id,
            "member_sequence": len(self.histories[member_id]),
            "occurred_at": occurred_at_us(request),
            "earned_points": earned,
            "redeemed_points": redeem_points_of(request),
            "redeemed_minor": redeemed_minor,
            "payable_minor": request.receipt.total_minor - redeemed_minor,
            "balance_points": self.balances[member_id],
            "program_version": 1,
            "store_id": request.store_id,
            "terminal_id": request.terminal_id,
            "receipt_id": request.receipt.receipt_id,
        }


def payload_of(request: Write) -> dict[str, object]:
    """What makes two calls the same call, by the names that the contract reports, in its order."""
    member = request.WhichOneof("member")
    assert member is not None
    lines = [
        (line.sku, line.quantity_milli or 1_000, line.amount_minor, line.category)
        for line in request.receipt.lines
    ]
    return {
        "kind": type(request).__name__,
        "member": (member, getattr(request, member)),
        "occurred_at": occurred_at_us(request),
        "store_id": request.store_id,
        "terminal_id": request.terminal_id,
        "receipt.receipt_id": request.receipt.receipt_id,
        "receipt.total_minor": request.receipt.total_minor,
        "receipt.lines": lines,
        "redeem_points": redeem_points_of(request),
    }


def redeem_points_of(request: Write) -> int:
    return 0 if isinstance(request, AccrueRequest) else request.redeem_points


def occurred_at_us(request: Write) -> int:
    return request.occurred_at.seconds * 1_000_000 + request.occurred_at.nanos // 1_000


def round_fraction(number: Fraction, rounding: str) -> int:
    if rounding == "half_even":
        return round(number)
    return math.floor(number + Fraction(1, 2)) if rounding == "half_up" else math.floor(number)


def split(total: int, amounts: list[int]) -> list[int]:
    """Proportional parts, each rounded down; what is missing goes to the largest remainders, one by one."""
    exact = [Fraction(total * amount, sum(amounts)) for amount in amounts]
    parts = [math.floor(share) for share in exact]
    while sum(parts) < total:
        behind = [(share - part, amount) for share, part, amount in zip(exact, parts, amounts, strict=True)]
        parts[behind.index(max(behind))] += 1
    return parts
