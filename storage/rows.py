"""Rows of the hot path's statements: what they mean that are read, and what those are that are written."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from processor.domain.account import Account, CardHolder
from processor.domain.batch import AccountChange
from processor.domain.command import Kind
from processor.domain.operation import Follower, Original, Recorded
from processor.domain.outcomes import Outcome
from processor.domain.records import record
from storage.array_literals import binaries, integers

Rows = Iterable[Any]


def cards_from(rows: Rows) -> dict[str, CardHolder]:
    """By card."""
    return {card: CardHolder(*holder) for card, *holder in rows}


def accounts_from(rows: Rows) -> dict[int, Account]:
    """By member."""
    return {row[0]: record(Account, row) for row in rows}


def recorded_from(rows: Rows) -> dict[str, list[Recorded]]:
    """By key."""
    recorded: defaultdict[str, list[Recorded]] = defaultdict(list)
    for key, outcome, *others in rows:
        recorded[key].append(Recorded(Outcome(outcome), *others))
    return recorded


def originals_from(rows: Rows, following: Rows) -> dict[str, list[Original]]:
    """By key, each with what followed it.

    A key may have been used before, long ago: what followed then is not of the newer operation.
    """
    followers = _followers_from(following)
    originals: defaultdict[str, list[Original]] = defaultdict(list)
    for key, member_id, kind, outcome, *others, own_sequence in rows:
        followed = [each for sequence, each in followers[key, member_id] if sequence > own_sequence]
        original = Original(key, member_id, Kind(kind), Outcome(outcome), *others)
        originals[key].append(original._replace(followers=tuple(followed)))
    return originals


def _followers_from(rows: Rows) -> defaultdict[tuple[str, int], list[tuple[int, Follower]]]:
    """By the key that they name and their member, with their sequence and in its order."""
    followers: defaultdict[tuple[str, int], list[tuple[int, Follower]]] = defaultdict(list)
    for key, member_id, sequence, kind, effects in rows:
        followers[key, member_id].append((sequence, Follower(Kind(kind), effects)))
    return followers


def account_columns(changes: Sequence[AccountChange]) -> tuple[str, ...]:
    """Accounts to be updated as arrays, by columns."""
    accounts = [change.account for change in changes]
    return (
        integers([account.member_id for account in accounts]),
        integers([account.balance_points for account in accounts]),
        integers([account.member_sequence for account in accounts]),
        binaries([account.entry_hash for account in accounts]),
        binaries([account.state for account in accounts]),
        integers([change.expected_sequence for change in changes]),
    )
