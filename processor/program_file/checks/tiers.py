"""Tiers: how members rise and fall."""

from collections.abc import Iterator

from processor.domain.program_document import ProgramDocument
from processor.domain.program_sections import TiersDocument
from processor.program_file.checks.contradiction import Contradiction, repeated


def check_tiers(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `tiers`."""
    if "tiers" not in document:
        return
    tiers = document["tiers"]
    yield from _check_period(tiers)
    yield from _check_levels(tiers)


def _check_period(tiers: TiersDocument) -> Iterator[Contradiction]:
    is_rolling = tiers["period"] == "rolling_months"
    if is_rolling and "rolling_months" not in tiers:
        yield Contradiction(("tiers", "rolling_months"), "is missing: how many months the period has")
    if not is_rolling and "rolling_months" in tiers:
        reason = f"goes with period: rolling_months only, not with {tiers['period']}"
        yield Contradiction(("tiers", "rolling_months"), reason)
    if tiers["period"] == "life" and tiers["downgrade"] != "never":
        reason = f"must be never, not {tiers['downgrade']}: a life has no end of a period"
        yield Contradiction(("tiers", "downgrade"), reason)


def _check_levels(tiers: TiersDocument) -> Iterator[Contradiction]:
    path = ("tiers", "levels")
    yield from repeated([level["name"] for level in tiers["levels"]], path, "name")
    below = 0
    for index, level in enumerate(tiers["levels"]):
        if level["threshold"] <= below:
            reason = f"must be above {below:,}, the threshold of the level before"
            yield Contradiction((*path, index, "threshold"), reason)
        below = level["threshold"]
