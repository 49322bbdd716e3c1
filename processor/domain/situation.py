"""What a decision depends on beside the account, the command and the program."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from processor.domain.operation import Original
from processor.domain.outcomes import Outcome
from processor.domain.program import Program
from processor.domain.state import Tally

_NO_TALLIES: Final[Mapping[str, Tally]] = MappingProxyType({})


class Situation(NamedTuple):
    """The server's time in microseconds; what was found under the command's `original_key`, if anything.

    `tallies` are those of terminals and stores, by subject. `online_program` is in force at `now_us`, where
    an offline sale is decided by the rules of its own time; `barred` is why such a sale could not be made
    now.
    """

    now_us: int = 0
    original: Original | None = None
    tallies: Mapping[str, Tally] = _NO_TALLIES
    online_program: Program | None = None
    barred: Outcome | None = None


NOTHING_KNOWN: Final = Situation()
