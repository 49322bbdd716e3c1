"""What the rules remember of a member beside the balance, compact enough to live in the account's one row."""

import struct
from collections.abc import Callable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple


class Lot(NamedTuple):
    """Points that can be spent until a time; 0 stands for undated ones, which expire together or never."""

    expires_at_us: int
    points: int


class PendingLot(NamedTuple):
    """Points that can be spent from a time on; `expires_at_us` is 0 if they become undated then."""

    active_at_us: int
    expires_at_us: int
    points: int


class Hold(NamedTuple):
    """Points set apart for an order until a time, taken out of the lots that `slices` names."""

    hold_id: int
    expires_at_us: int
    slices: tuple[Lot, ...]

    @property
    def points(self) -> int:
        """How many are held."""
        return sum(piece.points for piece in self.slices)


class Month(NamedTuple):
    """What a calendar month counts towards a tier; `month` is year x 12 + month, from 0."""

    month: int
    points: int
    minor: int


class Qualification(NamedTuple):
    """What decides a member's tier: the level kept from earlier periods, and what has been counted since.

    `base_level` holds from the beginning of the period that begins with the month `base_month` (0: none yet):
    a month, so that it can be told when the program has come to have other periods. `months` ascend, and hold
    no more of the past than the program needs.
    """

    base_level: int = 0
    base_month: int = 0
    life_points: int = 0
    life_minor: int = 0
    months: tuple[Month, ...] = ()


class Tally(NamedTuple):
    """What a member, a card, a terminal or a store has done in the hour and the day of its last operation.

    `subject` is 0 for the member, else a hash of the card. Hours and days are counted since the Unix epoch.
    """

    subject: int
    hour: int
    hour_operations: int
    hour_earned_points: int
    hour_redeemed_points: int
    day: int
    day_operations: int
    day_earned_points: int
    day_redeemed_points: int


class MemberState(NamedTuple):
    """Lots (soonest expiry first), pending lots (soonest first), open holds, tier and tallies.

    A member may have hundreds of lots, so they are plain pairs like a `Lot`, which cost a fraction of it.
    What of the balance is in none of them is undated; below zero it is a debt. The undated points expire
    together at `undated_expires_at_us`, 0 if never.
    """

    lots: tuple[tuple[int, int], ...] = ()
    pending: tuple[PendingLot, ...] = ()
    holds: tuple[Hold, ...] = ()
    undated_expires_at_us: int = 0
    qualification: Qualification = Qualification()
    tallies: tuple[Tally, ...] = ()

    @property
    def pending_points(self) -> int:
        """Points that can't be spent yet."""
        return sum([lot.points for lot in self.pending]) if self.pending else 0

    @property
    def held_points(self) -> int:
        """Points that are set apart."""
        return sum([hold.points for hold in self.holds]) if self.holds else 0

    def undated_points(self, balance_points: int) -> int:
        """Points of the balance that are in no lot; a debt if below zero."""
        dated: int = sum(map(_points_of, self.lots))
        return self.available_points(balance_points) - dated

    def available_points(self, balance_points: int) -> int:
        """What can be spent; below zero it is a debt."""
        if not (self.pending or self.holds):
            return balance_points
        return balance_points - self.pending_points - self.held_points


class _Known(dict[bytes, MemberState]):
    """States by their bytes: one is asked for several times in an operation, and again by the next.

    There are at most those of two of the largest batches, before and after them. As objects they take up to
    ten times as much memory as their bytes, so these are bounded, too: to those of one such batch, whose
    members all have a lot for every day of a year.
    """

    _STATES_MAX: Final = 4_096
    _BYTES_MAX: Final = 6 * 1_048_576

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def __missing__(self, data: bytes) -> MemberState:
        state = _decode(data)
        self.put(data, state)
        return state

    def put(self, data: bytes, state: MemberState) -> None:
        if len(self) >= self._STATES_MAX or self._bytes > self._BYTES_MAX:
            self.clear()
            self._bytes = 0
        self._bytes += len(data)
        self[data] = state


EMPTY_STATE: Final = MemberState()
_known: Final = _Known()
_points_of: Final = itemgetter(1)
_COUNT: Final = struct.Struct("<q")
_LOT: Final = struct.Struct("<qq")
_numbers_in: Final = chain.from_iterable
_TALLY_FIELDS: Final = len(Tally._fields)


def encode_state(state: MemberState) -> bytes:
    """Little-endian 64-bit integers: each list with its length before it. Empty if there is nothing in it."""
    if state == EMPTY_STATE:
        return b""
    lots, pending, holds, undated_expires_at_us, qualification, tallies = state
    *qualified, months = qualification
    numbers = [
        len(lots),
        *_numbers_in(lots),
        len(pending),
        *_numbers_in(pending),
        len(holds),
        *_numbers_in(map(_hold_numbers, holds)),
        undated_expires_at_us,
        *qualified,
        len(months),
        *_numbers_in(months),
        len(tallies),
        *_numbers_in(tallies),
    ]
    data = struct.pack(f"<{len(numbers)}q", *numbers)
    _known.put(data, state)
    return data


def _hold_numbers(hold: Hold) -> Iterator[int]:
    yield from (hold.hold_id, hold.expires_at_us, len(hold.slices))
    yield from _numbers_in(hold.slices)


def decode_state(data: bytes) -> MemberState:
    """Inverse of `encode_state`. Raises struct.error or StopIteration if it is no such thing."""
    return _known[data] if data else EMPTY_STATE


def _decode(data: bytes) -> MemberState:
    [count] = _COUNT.unpack_from(data)
    others_at = _COUNT.size + count * _LOT.size
    take = iter(struct.unpack(f"<{(len(data) - others_at) // 8}q", data[others_at:])).__next__
    return MemberState(
        tuple(_LOT.iter_unpack(data[_COUNT.size : others_at])),
        tuple([PendingLot(take(), take(), take()) for _ in range(take())]),
        tuple([_read_hold(take) for _ in range(take())]),
        take(),
        Qualification(
            take(), take(), take(), take(), tuple([Month(take(), take(), take()) for _ in range(take())])
        ),
        tuple([Tally(*[take() for _ in range(_TALLY_FIELDS)]) for _ in range(take())]),
    )


def _read_hold(take: Callable[[], int]) -> Hold:
    return Hold(take(), take(), tuple([Lot(take(), take()) for _ in range(take())]))
