"""Velocity limits: how often and how much in an hour or a day, by card, member, terminal and store."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from processor.domain.calendar import day_of, hour_of
from processor.domain.command import SALE_KINDS, Command, Kind
from processor.domain.decision import Decision, Refusal
from processor.domain.effects import Counted, count_operation
from processor.domain.outcomes import Outcome
from processor.domain.program import Limit, LimitScope, Program
from processor.domain.rules.registry import Stage, rule
from processor.domain.sale import Sale
from processor.domain.state import Tally

_MEMBER: Final = 0
_MEMBER_SCOPE: Final = LimitScope.MEMBER
_CARD_SCOPE: Final = LimitScope.CARD
_COUNTED_KINDS: Final = SALE_KINDS | {Kind.CAPTURE}
_SHARED_SCOPES: Final = frozenset({LimitScope.TERMINAL, LimitScope.STORE})
_BOUNDS: Final = ("operations", "earned_points", "redeemed_points")
_CACHED: Final = 1_024


class _Bound(NamedTuple):
    """The most that a limit allows of what a tally has in a column."""

    name: str
    most: int
    column: int


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
    for limit in program.limits:
        _keep(sale, limit, counted)
    sale.counted = _of_member_and_card(counted, program, sale.command)


def counted_for(program: Program, command: Command, now_us: int, redeemed_points: int) -> tuple[Counted, ...]:
    """What points that are redeemed add to the tallies of their member and card, as far as they are kept."""
    if not counts_operations(program):
        return ()
    return _of_member_and_card(_count(program, now_us, 0, redeemed_points), program, command)


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


def _keep(sale: Sale, limit: Limit, counted: Counted) -> None:
    tally = _tally(sale, limit, counted)
    if tally is None:
        return
    for bound in _bounds(limit):
        used = tally[bound.column]
        if used > bound.most:
            _exceed(sale, limit, bound, used)


@lru_cache(_CACHED)
def _bounds(limit: Limit) -> tuple[_Bound, ...]:
    """Those that are set; the columns of a tally are named after periods."""
    period = limit.period
    allowed = limit.operations, limit.earned_points, limit.redeemed_points
    bounds = [
        _Bound(name, most, Tally._fields.index(f"{period}_{name}"))
        for name, most in zip(_BOUNDS, allowed, strict=True)
        if most
    ]
    return tuple(bounds)


def _exceed(sale: Sale, limit: Limit, bound: _Bound, used: int) -> None:
    if sale.is_online and not limit.soft:
        raise Refusal(
            Outcome.LIMIT_EXCEEDED,
            scope=limit.scope,
            period=limit.period,
            bound=bound.name,
            limit=bound.most,
            used=used,
        )
    sale.flags.append(f"{limit.scope}.{limit.period}.{bound.name}")


def _tally(sale: Sale, limit: Limit, counted: Counted) -> Tally | None:
    """What the subject of a limit has done in its hour and day, this sale included."""
    if limit.scope is _MEMBER_SCOPE:
        return count_operation(_kept_tally(sale, _MEMBER), counted)
    if limit.scope is _CARD_SCOPE:
        if not sale.command.card:
            return None
        of_card = _of_card(counted, sale.command)
        return count_operation(_kept_tally(sale, of_card.subject), of_card)
    name = shared_subject(limit.scope, sale.command)
    return count_operation(sale.situation.tallies.get(name), counted) if name else None


def _kept_tally(sale: Sale, subject: int) -> Tally | None:
    for tally in sale.state.tallies:
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
    """The terminal and the store of a sale or a capture, as far as the program limits them."""
    if command.kind not in _COUNTED_KINDS:
        return ()
    scopes = dict.fromkeys([limit.scope for limit in program.limits if limit.scope in _SHARED_SCOPES])
    return [subject for scope in scopes if (subject := shared_subject(scope, command))]
