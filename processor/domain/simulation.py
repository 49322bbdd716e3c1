"""What a program would have given on a member's receipts, whatever rules they were sold by."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from processor.domain.account import Account
from processor.domain.command import (
    NO_RECEIPT,
    SALE_KINDS,
    Command,
    Kind,
    Receipt,
    ReturnedLine,
    lines_from_text,
)
from processor.domain.decide import decide
from processor.domain.decision import Decision
from processor.domain.effects_bytes import decode_effects, encode_effects
from processor.domain.maturity import matured
from processor.domain.operation import Follower, Original, state_after
from processor.domain.outcomes import Outcome
from processor.domain.points import redemption_value_minor
from processor.domain.program import Program
from processor.domain.situation import Situation
from processor.domain.standing import standing_of

SIMULATED_KINDS: Final = SALE_KINDS | {Kind.REVERSE, Kind.RETURN, Kind.ADJUST}


class Recorded(NamedTuple):
    """One applied operation of SIMULATED_KINDS, as the ledger has it; times in Unix microseconds."""

    kind: Kind
    idempotency_key: str
    occurred_at_us: int
    recorded_at_us: int
    earned_points: int
    redeemed_points: int
    total_minor: int
    original_key: str
    receipt_lines: str
    effects: bytes


@dataclass
class Figures:
    """What a program gives and takes, less what was returned. Refused are sales that it would not allow."""

    receipts: int = 0
    refused_receipts: int = 0
    total_minor: int = 0
    discount_minor: int = 0
    redeemed_points: int = 0
    redeemed_minor: int = 0
    earned_points: int = 0
    expired_points: int = 0
    shortfall_points: int = 0
    balance_points: int = 0

    def add(self, other: "Figures") -> None:
        """Take another's figures in."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Simulated(NamedTuple):
    """A member at the end; `benefit_minor` is what the program was worth: discounts and earned points."""

    figures: Figures
    tier: str
    benefit_minor: int


def simulate(program: Program, segments: str, history: Iterable[Recorded], until_us: int) -> Simulated:
    """Apply a member's operations in order to an empty account, by this program alone.

    Customers redeem what they did redeem, as far as the program and their points let them; rewards count as
    such points. There are no limits per card, terminal and store.
    """
    member = _Member(program, segments)
    for recorded in history:
        member.apply(recorded)
    return member.finish(until_us)


class _Member:
    def __init__(self, program: Program, segments: str) -> None:
        self._program = program
        self._account = Account(1, 0, 0, b"", segments=segments)
        self._originals: dict[str, Original] = {}
        self._figures = Figures()

    def apply(self, recorded: Recorded) -> None:
        self._mature(recorded.recorded_at_us)
        if recorded.kind in SALE_KINDS:
            self._sell(recorded)
        elif recorded.kind == Kind.ADJUST:
            self._adjust(recorded)
        elif recorded.original_key in self._originals:
            self._undo(recorded)

    def finish(self, until_us: int) -> Simulated:
        self._mature(until_us)
        figures = self._figures
        figures.balance_points = self._account.balance_points
        tier = standing_of(self._account, self._program, until_us).tier
        points_minor = redemption_value_minor(self._program, max(figures.earned_points, 0))
        return Simulated(figures, tier.name if tier else "", figures.discount_minor + points_minor)

    def _mature(self, now_us: int) -> None:
        before_points = self._account.balance_points
        self._account = matured(self._account, self._program, now_us)
        self._figures.expired_points += before_points - self._account.balance_points

    def _sell(self, recorded: Recorded) -> None:
        figures = self._figures
        figures.receipts += 1
        figures.total_minor += recorded.total_minor
        command = _command(recorded)
        decision = self._decide_as_far_as_possible(command, recorded.recorded_at_us)
        if decision.outcome is not Outcome.APPLIED:
            figures.refused_receipts += 1
            return
        self._move(decision)
        figures.discount_minor += decision.discount_minor
        figures.redeemed_points += decision.redeemed_points
        figures.redeemed_minor += decision.redeemed_minor
        figures.earned_points += decision.earned_points
        self._originals[recorded.idempotency_key] = _original(recorded, decision)

    def _decide_as_far_as_possible(self, command: Command, now_us: int) -> Decision:
        decision = self._decide(command, Situation(now_us))
        while (possible_points := _possible_points(decision)) is not None:
            command = command._replace(redeem_points=possible_points)
            decision = self._decide(command, Situation(now_us))
        return decision

    def _decide(self, command: Command, situation: Situation) -> Decision:
        return decide(self._account, command, self._program, situation)

    def _adjust(self, recorded: Recorded) -> None:
        points = recorded.earned_points - recorded.redeemed_points
        decision = self._decide(
            _command(recorded)._replace(points=points), Situation(recorded.recorded_at_us)
        )
        if decision.outcome is Outcome.APPLIED:
            self._move(decision)
            self._originals[recorded.idempotency_key] = _original(recorded, decision)

    def _undo(self, recorded: Recorded) -> None:
        original = self._originals[recorded.original_key]
        returned = [ReturnedLine(*part) for part in decode_effects(recorded.effects).returned]
        command = _command(recorded)._replace(returned=tuple(returned))
        decision = self._decide(command, Situation(recorded.recorded_at_us, original))
        if decision.outcome is not Outcome.APPLIED:
            return
        self._move(decision)
        self._count_undone(original, decision)
        follower = Follower(recorded.kind, encode_effects(decision.effects))
        self._originals[recorded.original_key] = original._replace(followers=(*original.followers, follower))

    def _count_undone(self, original: Original, decision: Decision) -> None:
        figures = self._figures
        figures.shortfall_points += decision.shortfall_points
        if original.kind == Kind.ADJUST:
            return
        figures.total_minor -= decision.total_minor or 0
        figures.discount_minor -= decision.discount_minor
        figures.redeemed_minor -= decision.redeemed_minor
        figures.redeemed_points -= decision.earned_points
        figures.earned_points -= decision.redeemed_points

    def _move(self, decision: Decision) -> None:
        account = self._account
        self._account = account._replace(
            balance_points=account.balance_points + decision.earned_points - decision.redeemed_points,
            state=state_after(account.state, decision.effects),
        )


def _command(recorded: Recorded) -> Command:
    receipt = NO_RECEIPT
    if recorded.kind in SALE_KINDS:
        receipt = Receipt("", recorded.total_minor, lines_from_text(recorded.receipt_lines))
    return Command(
        recorded.kind,
        recorded.idempotency_key,
        1,
        "",
        recorded.occurred_at_us,
        "",
        "",
        receipt,
        recorded.redeemed_points if recorded.kind in SALE_KINDS else 0,
        original_key=recorded.original_key,
    )


def _possible_points(decision: Decision) -> int | None:
    """How many points could be redeemed instead; None if that is not what the sale was refused for."""
    match decision.outcome:
        case Outcome.REDEMPTION_ABOVE_LIMIT:
            return int(str(decision.details["limit_points"]))
        case Outcome.INSUFFICIENT_POINTS:
            return max(int(str(decision.details["available_points"])), 0)
        case Outcome.REDEMPTION_BELOW_MINIMUM:
            return 0
    return None


def _original(recorded: Recorded, decision: Decision) -> Original:
    return Original(
        recorded.idempotency_key,
        1,
        recorded.kind,
        decision.outcome,
        recorded.occurred_at_us,
        recorded.recorded_at_us,
        decision.earned_points,
        decision.redeemed_points,
        recorded.total_minor,
        decision.redeemed_minor,
        decision.discount_minor,
        recorded.receipt_lines,
        encode_effects(decision.effects),
    )
