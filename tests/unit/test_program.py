"""Which version of a chain's program is in force."""

import pytest

from processor.domain.program import program_in_force
from processor.domain.program_document import DEFAULT_PROGRAM, program_from_document


@pytest.mark.parametrize(
    "effective_from_us, versions_at",
    [
        ([100], {0: 1, 100: 1, 101: 1}),
        ([100, 200], {199: 1, 200: 2}),
        ([100, 300, 200], {199: 1, 200: 3, 299: 3, 300: 2, 10_000: 2}),
        ([100, 300, 300], {299: 1, 300: 3}),
    ],
)
def test_the_latest_whose_time_has_come_decides(
    effective_from_us: list[int], versions_at: dict[int, int]
) -> None:
    programs = tuple(
        program_from_document(version, since_us, DEFAULT_PROGRAM)
        for version, since_us in enumerate(effective_from_us, start=1)
    )
    assert {at_us: program_in_force(programs, at_us).version for at_us in versions_at} == versions_at
