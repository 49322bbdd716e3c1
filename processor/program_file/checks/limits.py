"""How much may happen in an hour and a day."""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from processor.domain.program_document import ProgramDocument
from processor.domain.program_sections import EarningDocument, LimitDocument
from processor.located_yaml import Path, dotted
from processor.program_file.checks.contradiction import Contradiction, repeated

_Bound: TypeAlias = Literal["operations", "earned_points", "redeemed_points"]
_BOUNDS: Final[tuple[_Bound, ...]] = ("operations", "earned_points", "redeemed_points")


def check_limits(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `limits`."""
    limits = document.get("limits", [])
    yield from repeated([(each["scope"], each["period"], each["action"]) for each in limits], ("limits",))
    for index, limit in enumerate(limits):
        if not any(bound in limit for bound in _BOUNDS):
            yield Contradiction(("limits", index), f"must have at least one of {', '.join(_BOUNDS)}")
        if limit["action"] == "refuse":
            yield from _check_earned(index, limit, document["earning"])
        for other_index, other in enumerate(limits):
            yield from _check_pair(index, limit, other_index, other)


def _check_earned(index: int, limit: LimitDocument, earning: EarningDocument) -> Iterator[Contradiction]:
    """Whole steps are earned, whatever the goods and the tier multiply."""
    if "earned_points" not in limit or "cashback_basis_points" in earning:
        return
    least, path = min(_points_per_step(earning), default=(0, ()))
    if limit["earned_points"] < least:
        reason = f"must be at least {least:,}, as {dotted(path)} says: no receipt that earns has fewer"
        yield Contradiction(("limits", index, "earned_points"), reason)


def _points_per_step(earning: EarningDocument) -> Iterator[tuple[int, Path]]:
    """By every rate, with its path."""
    if "points_per_step" in earning:
        yield earning["points_per_step"], ("earning", "points_per_step")
    for index, band in enumerate(earning.get("bands", ())):
        yield band["points_per_step"], ("earning", "bands", index, "points_per_step")
    for index, rate in enumerate(earning.get("segments", ())):
        if "points_per_step" in rate:
            yield rate["points_per_step"], ("earning", "segments", index, "points_per_step")


def _check_pair(
    index: int, limit: LimitDocument, other_index: int, other: LimitDocument
) -> Iterator[Contradiction]:
    """Bounds of `limit` that are never met because those of `other` are met before."""
    if limit["scope"] != other["scope"]:
        return
    is_flag_of_refusal = (
        limit["period"] == other["period"] and limit["action"] == "flag" and other["action"] == "refuse"
    )
    is_hour_of_day = (
        limit["period"] == "hour"
        and other["period"] == "day"
        and other["action"] in (limit["action"], "refuse")
    )
    for bound in _BOUNDS:
        if not (bound in limit and bound in other):
            continue
        path, other_path = ("limits", index, bound), dotted(("limits", other_index))
        if is_flag_of_refusal and limit[bound] >= other[bound]:
            yield Contradiction(path, f"must be below {other[bound]:,}, above which {other_path} refuses")
        elif is_hour_of_day and limit[bound] > other[bound]:
            yield Contradiction(
                path, f"must be at most {other[bound]:,}, the bound of the day in {other_path}"
            )
