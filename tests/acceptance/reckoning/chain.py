"""What the contract says that every call gets: a reckoning of its own, in plain Python and exact fractions.

Nothing here comes from the processor but its generated messages and the form of a program's document. All
calls are read in the order in which they apply; the clock is this machine's.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from loyalty.v1.transaction_service_pb2 import OperationRequest, QuoteRequest
from processor.domain.program_document import ProgramDocument
from tests.acceptance.reckoning.adjusting import adjust
from tests.acceptance.reckoning.ask import card_of, kind_of, microseconds, payload_of, quoted_sale, sale_of
from tests.acceptance.reckoning.desk import Cards, CardState, Desk
from tests.acceptance.reckoning.limits import Limits, Sold, now_us
from tests.acceptance.reckoning.member import Decided, Done, Member
from tests.acceptance.reckoning.orders import capture, hold, void
from tests.acceptance.reckoning.quotes import Promises, show
from tests.acceptance.reckoning.replies import (
    KINDS,
    AfterRecord,
    Entry,
    Expected,
    Learned,
    Outcome,
    Refused,
    operation,
)
from tests.acceptance.reckoning.selling import differences, sell
from tests.acceptance.reckoning.tiers import standing
from tests.acceptance.reckoning.undoing import bring_back, reverse
from tests.client import write_of

WINDOW_BACK_SECONDS: Final = 45 * 86_400
WINDOW_AHEAD_SECONDS: Final = 600
BALANCE_POINTS_MAX: Final = 10**15
_SALES: Final = ("ACCRUE", "REDEEM", "CHECKOUT")
_SPENDING: Final = ("HOLD", "CAPTURE")
_UNRECORDED: Final = ("ORIGINAL_NOT_FOUND",)
_BESIDE_SALES: Final[dict[str, Callable[[ProgramDocument, Member, Any], Decided]]] = {
    "VOID": void,
    "REVERSE": reverse,
    "RETURN": bring_back,
    "ADJUST": adjust,
}
_OF_ORDERS: Final[dict[str, Callable[[ProgramDocument, Member, Any, Limits], Decided]]] = {
    "HOLD": hold,
    "CAPTURE": capture,
}


class Version(NamedTuple):
    """A version of the program, and the time in microseconds from which it holds."""

    from_us: int
    program: ProgramDocument


class Model:
    """The members of one chain, as an observer of every call reckons them."""

    def __init__(self, versions: Sequence[Version]) -> None:
        self.entries: dict[str, Entry] = {}
        self.promises = Promises()
        self._versions = versions
        self._members: dict[int, Member] = {}
        self._cards: Cards = {}
        self.desk = Desk(self._members, self._cards)
        self._sales: list[Sold] = []

    def enrol(
        self, member_id: int, cards: Mapping[str, CardState], segments: Iterable[str], *, is_closed: bool
    ) -> None:
        """A member with nothing yet."""
        member = Member(Learned(member_id), frozenset(segments), is_closed)
        self._members[member_id] = member
        self._cards |= {card: (member, state) for card, state in cards.items()}

    # --- calls ---

    def apply(self, call: OperationRequest) -> Expected:
        """Predict the reply to a request that is valid but for its store or reason, and take its effect."""
        request: Any = write_of(call)
        if missing := _missing(call):
            return Expected(Outcome("INVALID_REQUEST", {"violations": {missing}}))
        entry = self.entries.get(request.idempotency_key)
        if entry:
            return _repeat(entry, payload_of(call))
        try:
            member = self._member_for(call)
            outcome = self._outcome(call, member)
        except Refused as refusal:
            return Expected(refusal.outcome)
        member.history.append(request.idempotency_key)
        entry = Entry(outcome, payload_of(call))
        self.entries[request.idempotency_key] = entry
        return Expected(outcome, entry=entry)

    def quote(self, request: QuoteRequest) -> Outcome:
        """Predict the reply to Quote, which changes nothing."""
        ask = quoted_sale(request)
        try:
            self._refuse_barred(request, is_spending=ask.is_spending)
            member = self._find(request, is_enrolling=True)
            limits = Limits(member, self._sales)
            shown = show(self._version_at(now_us()).program, _as_of_now(member), ask, limits)
            _refuse_out_of_range(
                member, member.wallet.balance_points + shown["earned_points"] - shown["redeemed_points"]
            )
            return Outcome("", shown)
        except Refused as refusal:
            return refusal.outcome

    def balance(self, member_id: int) -> dict[str, object]:
        """Predict GetBalance; an open hold is told by its points and its key."""
        member = _as_of_now(self._members[member_id])
        wallet = member.wallet
        return {
            "member_id": member_id,
            "balance_points": wallet.balance_points,
            "member_sequence": len(member.history),
            "available_points": wallet.available_points,
            "held_points": wallet.held_points,
            "pending_points": wallet.pending_points,
            "tier": standing(self._version_at(now_us()).program, member),
            "holds": [(hold.points, key) for key, hold in wallet.holds.items()],
            "lots": [] if wallet.owed_points else wallet.told_lots(),
            "pending_lots": wallet.told_pending(),
            "segments": sorted(member.segments),
        }

    def find(self, idempotency_key: str) -> Expected:
        """Predict the reply to GetOperation."""
        entry = self.entries.get(idempotency_key)
        if not entry:
            return Expected(Outcome("OPERATION_NOT_FOUND", {}))
        return Expected(entry.outcome, replayed=True, entry=entry)

    def history(self, member_id: int) -> list[tuple[str, Expected]]:
        """Predict ListOperations: (key, reply), the newest first."""
        return [(key, self.find(key)) for key in reversed(self._members[member_id].history)]

    def knows_original(self, member_id: int, call: OperationRequest) -> bool:
        """Whether a call names this member, as it may, and an operation of it that is there already."""
        request: Any = write_of(call)
        member = self._members[member_id]
        if self._cards.get(card_of(request), (self._members.get(request.member_id),))[0] is not member:
            return False
        if self._barred_for(request, is_spending=kind_of(call) in _SPENDING):
            return False
        original = member.done.get(request.original_idempotency_key)
        is_of_hold = kind_of(call) in ("CAPTURE", "VOID")
        return original is not None and (not is_of_hold or (original.kind == "HOLD" and original.is_applied))

    # --- whose call it is ---

    def _member_for(self, call: OperationRequest) -> Member:
        """Who it is about; a new member, if that is the way of the program. Raises Refused."""
        request: Any = write_of(call)
        earliest, latest = now_us() / 1e6 - WINDOW_BACK_SECONDS, now_us() / 1e6 + WINDOW_AHEAD_SECONDS
        if not earliest <= microseconds(request.occurred_at) / 1e6 <= latest:
            raise Refused("OCCURRED_AT_OUT_OF_WINDOW", earliest=earliest, latest=latest)
        kind = kind_of(call)
        is_spending = kind in _SPENDING or (kind in _SALES and sale_of(call).is_spending)
        is_enrolling = kind in ("ACCRUE", "CHECKOUT")
        if not call.offline:
            self._refuse_barred(request, is_spending=is_spending)
        member = self._find(request, is_enrolling=is_enrolling)
        if not member.member_id.value:
            self._cards.setdefault(card_of(request), (member, CardState.OPEN))
        return member

    def _refuse_barred(self, request: Any, *, is_spending: bool) -> None:
        member, _ = self._cards.get(card_of(request), (None, CardState.OPEN))
        if member and member.is_closed:
            raise Refused("MEMBER_CLOSED")
        reason = self._barred_for(request, is_spending=is_spending)
        if reason:
            raise Refused(reason)

    def _barred_for(self, request: Any, *, is_spending: bool) -> str:
        """Why the card can't be used so; empty if it can."""
        _, state = self._cards.get(card_of(request), (None, CardState.OPEN))
        is_barred = state is not CardState.BLOCKED or is_spending
        return state.value if is_barred else ""

    def _find(self, request: Any, *, is_enrolling: bool) -> Member:
        card = card_of(request)
        member, _ = self._cards.get(card, (self._members.get(request.member_id), CardState.OPEN))
        if member is None and card and is_enrolling and self._enrols():
            return Member(Learned())
        if member is None:
            raise Refused("MEMBER_NOT_FOUND")
        if member.is_closed:
            raise Refused("MEMBER_CLOSED")
        return member

    def _enrols(self) -> bool:
        program = self._version_at(now_us()).program
        return "members" in program and program["members"]["enrol_on_first_use"]

    def _version_at(self, at_us: int) -> Version:
        """The one in force; the first is so before its time, too."""
        in_force = [version for version in self._versions if version.from_us <= at_us]
        return in_force[-1] if in_force else self._versions[0]

    # --- what comes of it ---

    def _outcome(self, call: OperationRequest, member: Member) -> Outcome:
        """Decide, and change the member. Raises Refused for what is not recorded."""
        request: Any = write_of(call)
        self._mature(member)
        version = self._version_at(microseconds(request.occurred_at) if call.offline else now_us())
        try:
            decided = self._decide(call, member, version.program)
        except Refused as refusal:
            if refusal.outcome.reason in _UNRECORDED:
                raise
            member.done[request.idempotency_key] = Done(kind_of(call), is_applied=False)
            return refusal.outcome
        self._take(member, request, decided)
        return self._applied(call, member, decided, version)

    def _decide(self, call: OperationRequest, member: Member, program: ProgramDocument) -> Decided:
        """Held to what was quoted, if the call asks for that. Raises Refused."""
        request: Any = write_of(call)
        if not getattr(request, "quote_token", ""):
            return self._decide_by_kind(call, member, program)
        promise = self.promises.of(request)
        try:
            decided = self._decide_by_kind(call, member, program)
        except Refused as refusal:
            raise promise.broken_by(refusal) from None
        promise.keep(decided)
        return decided

    def _decide_by_kind(self, call: OperationRequest, member: Member, program: ProgramDocument) -> Decided:
        decided = self._decided(call, member, program)
        _refuse_out_of_range(member, decided.wallet.balance_points)
        return decided

    def _decided(self, call: OperationRequest, member: Member, program: ProgramDocument) -> Decided:
        request: Any = write_of(call)
        if kind_of(call) in _OF_ORDERS:
            return _OF_ORDERS[kind_of(call)](program, member, request, Limits(member, self._sales))
        decide = _BESIDE_SALES.get(kind_of(call))
        return decide(program, member, request) if decide else self._sell(call, member, program)

    def _sell(self, call: OperationRequest, member: Member, program: ProgramDocument) -> Decided:
        request: Any = write_of(call)
        ask, limits = sale_of(call), Limits(member, self._sales)
        at_us = microseconds(request.occurred_at) if call.offline else now_us()
        if call.offline:
            barred_for = self._barred_for(request, is_spending=ask.is_spending)
            ask = ask._replace(barred_for=barred_for)
        decided = sell(program, member, ask, at_us, limits)
        if call.offline:
            online_program = self._version_at(now_us()).program
            decided.fields["offline_differences"] = differences(online_program, member, ask, limits, decided)
        return decided

    def _take(self, member: Member, request: Any, decided: Decided) -> None:
        """Change the member, and the operation that was undone or ended."""
        member.wallet = decided.wallet
        member.counted_points += decided.counted[0]
        member.counted_minor += decided.counted[1]
        member.done[request.idempotency_key] = decided.done
        decided.done.sold = decided.sold
        if decided.sold:
            self._sales.append(decided.sold)
        original = member.done.get(getattr(request, "original_idempotency_key", ""))
        if original:
            original.followed_by = decided.done.kind
            for number, quantity_milli in decided.done.returned_milli.items():
                original.returned_milli[number] = original.returned_milli.get(number, 0) + quantity_milli

    def _applied(self, call: OperationRequest, member: Member, decided: Decided, version: Version) -> Outcome:
        request: Any = write_of(call)
        return operation(
            **self._figures(member),
            **decided.fields,
            idempotency_key=request.idempotency_key,
            kind=KINDS[kind_of(call)],
            occurred_at=microseconds(request.occurred_at),
            program_version=self._versions.index(version) + 1,
            store_id=getattr(request, "store_id", ""),
            terminal_id=getattr(request, "terminal_id", ""),
            receipt_id=request.receipt.receipt_id if kind_of(call) in _SALES else "",
        )

    def _figures(self, member: Member) -> dict[str, object]:
        """Where a member stands after the next entry.

        What has expired by then is part of the balance until it has an entry, but nobody is told to spend it.
        """
        wallet = _as_of_now(member).wallet
        return {
            "member_id": member.member_id,
            "member_sequence": len(member.history) + 1,
            "balance_points": member.wallet.balance_points,
            "available_points": wallet.available_points,
            "held_points": wallet.held_points,
            "pending_points": wallet.pending_points,
            "tier": standing(self._version_at(now_us()).program, member),
        }

    def _mature(self, member: Member) -> None:
        """Record what is due, as entries of the service's own."""
        for due in member.wallet.mature(now_us()):
            key = f"system:{due.kind.lower()}:{member.member_id.value}:{len(member.history) + 1}"
            outcome = operation(
                **self._figures(member),
                idempotency_key=key,
                kind=KINDS[due.kind],
                occurred_at=AfterRecord(),
                redeemed_points=due.expired_points,
                program_version=self._versions.index(self._version_at(now_us())) + 1,
            )
            self.entries[key] = Entry(outcome)
            member.history.append(key)


def _missing(call: OperationRequest) -> str:
    """The required field that is not there."""
    request: Any = write_of(call)
    if kind_of(call) == "ADJUST":
        return "" if request.reason else "reason"
    return "" if request.store_id else "store_id"


def _repeat(entry: Entry, payload: Mapping[str, object]) -> Expected:
    differing = [field for field, value in payload.items() if entry.payload[field] != value]
    if differing:
        return Expected(Outcome("IDEMPOTENCY_KEY_REUSED", {"differing_fields": ",".join(differing)}))
    return Expected(entry.outcome, replayed=True, entry=entry)


def _refuse_out_of_range(member: Member, balance_points: int) -> None:
    if abs(balance_points) > BALANCE_POINTS_MAX:
        raise Refused("BALANCE_OUT_OF_RANGE", balance_points=member.wallet.balance_points)


def _as_of_now(member: Member) -> Member:
    """A copy on which everything is done that is due."""
    wallet = copy.deepcopy(member.wallet)
    for _ in wallet.mature(now_us()):
        pass
    return dataclasses.replace(member, wallet=wallet)
