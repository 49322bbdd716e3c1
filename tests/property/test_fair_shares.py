"""How the calls that wait share a batch."""

from hypothesis import given
from hypothesis import strategies as st

from processor.lane import fair_shares


@given(wanted=st.lists(st.integers(1, 1_000), min_size=1, max_size=60), more_room=st.integers(0, 1_000))
def test_who_gets_less_than_wanted_gets_no_less_than_anybody(wanted: list[int], more_room: int) -> None:
    room = len(wanted) + more_room
    shares = fair_shares(wanted, room)
    assert sum(shares) == min(room, sum(wanted))
    assert all(1 <= share <= want for share, want in zip(shares, wanted, strict=True))
    most = max(shares)
    # Whole calls can't always be divided evenly.
    assert all(share >= most - 1 for share, want in zip(shares, wanted, strict=True) if share < want)
