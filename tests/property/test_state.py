"""A member's state, an operation's effects and a call's further fields survive the way to bytes and back."""

from hypothesis import given
from hypothesis import strategies as st

from processor.domain.command import LineItem, lines_from_text, lines_text
from processor.domain.effects import (
    Counted,
    Effects,
    LineShare,
    LotChange,
    Qualified,
    ReturnedPart,
    TierBase,
    count_operation,
)
from processor.domain.effects_bytes import decode_effects, encode_effects
from processor.domain.state import (
    Hold,
    Lot,
    MemberState,
    Month,
    PendingLot,
    Qualification,
    Tally,
    decode_state,
    encode_state,
)
from tests.property.strategies import identifiers, optional_identifiers

numbers = st.integers(-(2**63), 2**63 - 1)


def rows(row_type: type, **fixed: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    """Some rows of a type whose columns are numbers, if not told otherwise."""
    columns = [fixed.get(name, numbers) for name in row_type._fields]  # type: ignore[attr-defined]
    return st.lists(st.tuples(*columns).map(lambda row: row_type(*row)), max_size=3).map(tuple)


holds = rows(Hold, slices=rows(Lot))
qualifications = st.builds(Qualification, numbers, numbers, numbers, numbers, rows(Month))
states = st.builds(MemberState, rows(Lot), rows(PendingLot), holds, numbers, qualifications, rows(Tally))
effects = st.builds(
    Effects,
    lots=rows(LotChange),
    opened_holds=holds,
    closed_holds=st.lists(numbers, max_size=3).map(tuple),
    undated_expires_at_us=st.none() | numbers,
    qualified=rows(Qualified),
    tier_base=st.none() | st.builds(TierBase, numbers, numbers),
    counted=rows(Counted),
    shares=rows(LineShare),
    returned=rows(ReturnedPart),
    shortfall_points=numbers,
    uncounted=rows(Counted),
)
lines = st.lists(
    st.builds(
        LineItem, identifiers, st.integers(1), st.integers(0), optional_identifiers, optional_identifiers
    ),
    max_size=4,
).map(tuple)


@given(states)
def test_a_state_survives(state: MemberState) -> None:
    assert decode_state(encode_state(state)) == state


@given(effects)
def test_effects_survive(done: Effects) -> None:
    assert decode_effects(encode_effects(done)) == done


@given(lines)
def test_lines_survive(items: tuple[LineItem, ...]) -> None:
    assert lines_from_text(lines_text(items)) == items


def test_nothing_takes_no_room() -> None:
    assert encode_state(MemberState()) == encode_effects(Effects()) == b""


def test_clocks_that_differ_count_for_one_hour_and_day() -> None:
    tally = None
    for hour, day in ((23, 0), (24, 1), (23, 0), (24, 1)):
        tally = count_operation(tally, Counted(0, hour, day, 5, 1))
    assert tally == Tally(0, 24, 3, 15, 3, 1, 3, 15, 3)
    assert count_operation(tally, Counted(0, 25, 2, 0, 0)) == Tally(0, 25, 1, 0, 0, 2, 1, 0, 0)
