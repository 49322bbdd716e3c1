"""Velocity limits: how often and how much in an hour or a day, by card, member, terminal and store."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from processor.domain.calendar import day_of, hour_of
from processor.domain.command import SALE_KINDS, Command, Kind
from processor.domain.decision import Decision, Refusal
from processor.domain.effects import Counted, count_operation
from processor.domain.limits import REDEEM_POINTS_MAX
from processor.domain.outcomes import Outcome
from processor.domain.program import Limit, LimitScope, Program
from processor.domain.rules.registry import Stage, rule
from processor.domain.sale import Sale
from processor.domain.situation import Situation
from processor.domain.state import MemberState, Tally

_MEMBER: Final = 0
_MEMBER_SCOPE: Final = LimitScope.MEMBER
_CARD_SCOPE: Final = LimitScope.CARD
_COUNTED_KINDS: Final = SALE_KINDS | {Kind.HOLD, Kind.CAPTURE}
_SHARED_SCOPES: Final = frozenset({LimitScope.TERMINAL, LimitScope.STORE})
_BOUNDS: Final[tuple[str, ...]] = ("operations", "earned_points", "redeemed_points")
_COUNTED_COLUMNS: Final = {name: Counted._fields.index(name) for name in _BOUNDS if name in Counted._fields}
_CACHED: Final = 1_024


class _Bound(NamedTuple):
    """The most that a limit allows of what a tally has in a column; `added` is that of a count, if any."""

    name: str
    most: int
    column: int
    added: int | None

    def is_added_to(self, counted: Counted) -> bool:
        """What is exceeded already is nothing to an operation that adds nothing to it."""
        return self.added is None or counted[self.added] > 0


class Kept(NamedTuple):
    """The soft limits that an operation exceeds, and what it counts for."""

    flags: Sequence[str] = ()
    counted: tuple[Counted, ...] = ()


_NOT_COUNTED: Final = Kept()


def counts_operations(program: Program) -> bool:
    """Whether a member's operations are counted."""
    return bool(program.limits or program.payment.day_points_max)


@rule(Stage.LIMITS, counts_operations)
def keep_limits(sale: Sale) -> None:
    """Refuse what goes beyond a hard limit, flag what goes beyond a soft one, and count the rest.

    What was done offline is done: it is counted and flagged.
    """
    program = sale.program
    counted = _count(program, sale.situation.now_us, sale.earned_points, sale.redeemed_points)
    use = _Use(sale.command, sale.state, sale.situation, _beside_holds(counted, sale.state), counted)
    sale.flags += _keep_all(use, program, refuses=sale.is_online)
    sale.counted = _of_member_and_card(counted, program, sale.command)


def keep_limits_of_hold(state: MemberState, command: Command, program: Program, situation: Situation) -> Kept:
    """A hold counts as an operation, and for no points before they are captured.

    It is refused where redeeming its points would be. Raises Refusal.
    """
    if not counts_operations(program):
        return _NOT_COUNTED
    counted = _count(program, situation.now_us, 0, 0)
    here = counted._replace(redeemed_points=command.points)
    use = _Use(command, state, situation, _beside_holds(here, state), here)
    flags = _keep_all(use, program, refuses=True)
    return Kept(flags, _of_member_and_card(counted, program, command))


def flag_limits_of_capture(
    state: MemberState, command: Command, program: Program, situation: Situation, points: int
) -> Kept:
    """A capture counts and is flagged, but never refused: its points were promised."""
    if not counts_operations(program):
        return _NOT_COUNTED
    counted = _count(program, situation.now_us, 0, points)
    use = _Use(command, state, situation, counted, counted)
    flags = _keep_all(use, program, refuses=False)
    return Kept(flags, _of_member_and_card(counted, program, command))


def points_within_limits(sale: Sale) -> int:
    """The most points that hard limits let the sale redeem; as good as no bound if there are none."""
    most = REDEEM_POINTS_MAX
    one = _count(sale.program, sale.situation.now_us, 0, 1)
    use = _Use(sale.command, sale.state, sale.situation, _beside_holds(one, sale.state), one)
    for limit in sale.program.limits:
        bound, tally = _bound_of_redeemed(limit), _tally(use, limit.scope)
        if bound and tally and not limit.soft:
            most = min(most, bound.most - tally[bound.column] + 1)
    return max(most, 0)


def _bound_of_redeemed(limit: Limit) -> _Bound | None:
    return next((bound for bound in _bounds(limit) if bound.name == "redeemed_points"), None)


def _beside_holds(counted: Counted, state: MemberState) -> Counted:
    """What is redeemed counts beside all that the member holds: it may be captured at any time."""
    if not (state.holds and counted.redeemed_points):
        return counted
    return counted._replace(redeemed_points=counted.redeemed_points + state.held_points)


def count_shared(program: Program, now_us: int, decision: Decision) -> Counted:
    """What an applied operation adds to the tallies of its terminal and its store."""
    return _count(program, now_us, decision.earned_points, decision.redeemed_points)


def _count(program: Program, now_us: int, earned_points: int, redeemed_points: int) -> Counted:
    """An operation as it counts for its member; for others it is the same but for the subject."""
    return Counted(_MEMBER, hour_of(now_us), day_of(now_us, program.timezone), earned_points, redeemed_points)


def _of_member_and_card(counted: Counted, program: Program, command: Command) -> tuple[Counted, ...]:
    if command.card and any(limit.scope is _CARD_SCOPE for limit in program.limits):
        return counted, _of_card(counted, command)
    return (counted,)


def _of_card(counted: Counted, command: Command) -> Counted:
    return Counted(card_subject(command.card), *counted[1:])


class _Use(NamedTuple):
    """An operation as limits look at it: `own` counts for its member and card, `here` for its shop."""

    command: Command
    state: MemberState
    situation: Situation
    own: Counted
    here: Counted


def _keep_all(use: _Use, program: Program, *, refuses: bool) -> list[str]:
    """The flags. Raises Refusal."""
    flags: list[str] = []
    for limit in program.limits:
        tally = _tally(use, limit.scope)
        if tally is not None:
            _keep(limit, tally, use.own, flags, refuses=refuses and not limit.soft)
    return flags


def _keep(limit: Limit, tally: Tally, counted: Counted, flags: list[str], *, refuses: bool) -> None:
    for bound in _bounds(limit):
        used = tally[bound.column]
        if used > bound.most and bound.is_added_to(counted):
            if refuses:
                raise _exceeded(limit, bound, used)
            flags.append(f"{limit.scope}.{limit.period}.{bound.name}")


@lru_cache(_CACHED)
def _bounds(limit: Limit) -> tuple[_Bound, ...]:
    """Those that are set; the columns of a tally are named after periods."""
    period = limit.period
    allowed = limit.operations, limit.earned_points, limit.redeemed_points
    bounds = [
        _Bound(name, most, Tally._fields.index(f"{period}_{name}"), _COUNTED_COLUMNS.get(name))
        for name, most in zip(_BOUNDS, allowed, strict=True)
        if most
    ]
    return tuple(bounds)


def _exceeded(limit: Limit, bound: _Bound, used: int) -> Refusal:
    return Refusal(
        Outcome.LIMIT_EXCEEDED,
        scope=limit.scope,
        period=limit.period,
        bound=bound.name,
        limit=bound.most,
        used=used,
    )


def _tally(use: _Use, scope: LimitScope) -> Tally | None:
    """What the subject of a limit has done in its hour and day, this operation included."""
    if scope is _MEMBER_SCOPE:
        return count_operation(_kept_tally(use.state, _MEMBER), use.own)
    if scope is _CARD_SCOPE:
        if not use.command.card:
            return None
        of_card = _of_card(use.own, use.command)
        return count_operation(_kept_tally(use.state, of_card.subject), of_card)
    name = shared_subject(scope, use.command)
    return count_operation(use.situation.tallies.get(name), use.here) if name else None


def _kept_tally(state: MemberState, subject: int) -> Tally | None:
    for tally in state.tallies:
        if tally.subject == subject:
            return tally
    return None


def card_subject(card: str) -> int:
    """A card as the tallies name it: never 0, which is the member."""
    return int.from_bytes(blake2b(card.encode(), digest_size=8).digest(), "little", signed=True) or 1


def shared_subject(scope: LimitScope, command: Command) -> str:
    """The terminal or store of a command, as its tally is named; empty if it names no terminal."""
    if scope is LimitScope.STORE:
        return f"store:{command.store_id}"
    return f"terminal:{command.store_id}/{command.terminal_id}" if command.terminal_id else ""


def limits_shops(program: Program) -> bool:
    """Whether the operations of terminals or stores are counted."""
    return any(limit.scope in _SHARED_SCOPES for limit in program.limits)


def shared_subjects(program: Program, command: Command) -> Sequence[str]:
    """The terminal and the store of a sale, hold or capture, as far as the program limits them."""
    if command.kind not in _COUNTED_KINDS:
        return ()
    scopes = dict.fromkeys([limit.scope for limit in program.limits if limit.scope in _SHARED_SCOPES])
    return [subject for scope in scopes if (subject := shared_subject(scope, command))]
