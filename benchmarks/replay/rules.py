"""The programs that a replay can have; each has a recomputation of its own."""

from enum import StrEnum
from pathlib import Path
from typing import Final

_FILES: Final = {"plain": "program.yaml", "rich": "program-rich.yaml"}
# A till goes on after these. Any other refusal is a defect of the one side or the other, and ends the replay.
_OF_REDEMPTIONS: Final = frozenset(
    {"INSUFFICIENT_POINTS", "REDEMPTION_BELOW_MINIMUM", "REDEMPTION_ABOVE_LIMIT"}
)
_OF_RETURNS: Final = frozenset({"NOT_REVERSIBLE", "RETURN_ABOVE_ORIGINAL"})


class Rules(StrEnum):
    """Plain: one rate and one redemption. Rich: much else, offline sales and returns (docs/replay.md)."""

    PLAIN = "plain"
    RICH = "rich"

    @property
    def program_file(self) -> Path:
        """The chain's program."""
        return Path(__file__).with_name(_FILES[self])

    @property
    def expected_refusals(self) -> frozenset[str]:
        """The reasons that are part of the replay."""
        return _OF_REDEMPTIONS | (_OF_RETURNS if self is Rules.RICH else frozenset())
