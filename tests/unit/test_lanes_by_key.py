"""Which lane the calls of one request take when a key is used for members of several lanes."""

import math
from typing import cast

import pytest

from processor.batcher import _joined_by_key
from processor.call import CallGroup
from processor.domain.command import Command, Kind, Receipt
from processor.lane import Lane


@pytest.mark.parametrize(
    "lanes, keys, expected",
    [
        ("abc", "kkz", "aac"),  # who has nothing to do with the key stays
        ("abab", "kkxy", "aaaa"),  # all calls of a joined lane go along
        ("abcd", "kkmm", "aacc"),
        ("abbc", "kkmm", "aaaa"),  # joined by way of another
        ("abc", "xyz", "abc"),
    ],
)
async def test_lanes_that_a_key_connects_become_one(lanes: str, keys: str, expected: str) -> None:
    receipt = Receipt("receipt", 100, ())
    commands = [Command(Kind.ACCRUE, key, 1, "", 0, "store", "", receipt, 0) for key in keys]
    named = [cast("Lane", lane) for lane in lanes]
    joined = _joined_by_key(named, CallGroup(commands, math.inf).calls)
    assert "".join(map(str, joined)) == expected
