"""To which part of a call's way a sampled stack belongs, and which functions take the most time."""

import pytest

from benchmarks.profile.stacks import Part, functions, part_of, read_stacks, shares

RUN = "run (uvloop/__init__.py:92)"
LANE = f"{RUN};Lane.run (processor/lane.py:82);Ledger.apply (processor/ledger.py:72)"
SETTLED = f"{LANE};Ledger._settle_alone (processor/ledger.py:158)"
RAW = f"""\
{RUN} 10
{RUN};NativeTransport._take (processor/rpc/native_transport.py:209) 20
{RUN};NativeTransport._take (processor/rpc/native_transport.py:211);Batcher.offer (processor/batcher.py:9) 5
{SETTLED} 30
{SETTLED};Settlement.settle (processor/settlement.py:130);decide (processor/domain/decide.py:9) 4
{SETTLED};Transaction.save (storage/transaction.py:113);Connection.execute (asyncpg/connection.py:1) 25
{LANE} 6
"""


@pytest.mark.parametrize(
    "number, part",
    [
        *enumerate(
            [Part.REST, Part.CALL, Part.CALL, Part.SETTLING, Part.SETTLING, Part.DATABASE, Part.DATABASE]
        )
    ],
)
def test_a_stack_belongs_to_a_part(number: int, part: Part) -> None:
    assert part_of(list(read_stacks(RAW.splitlines()))[number]) is part


def test_shares_are_of_all_samples() -> None:
    found = shares(read_stacks(RAW.splitlines()))

    assert found == {Part.SETTLING: 0.34, Part.DATABASE: 0.31, Part.CALL: 0.25, Part.REST: 0.1}
    assert set(shares([]).values()) == {0}


def test_functions_are_told_by_their_own_time_whatever_the_line() -> None:
    assert functions(read_stacks(RAW.splitlines()), 2) == [
        ("Ledger._settle_alone (processor/ledger.py)", 0.3),
        ("Connection.execute (asyncpg/connection.py)", 0.25),
    ]
