"""What a receipt earns."""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from processor.domain.program_document import ProgramDocument
from processor.domain.program_sections import (
    EarningDocument,
    GoodsDocument,
    MultiplierDocument,
    RateDocument,
)
from processor.located_yaml import Path
from processor.program_file.checks.contradiction import Contradiction, check_goods, exactly_one, repeated

_GoodsKind: TypeAlias = Literal["category", "brand", "sku"]
_GOODS_KINDS: Final[tuple[_GoodsKind, ...]] = ("category", "brand", "sku")
_EXCLUDED_UNDER: Final[dict[_GoodsKind, Literal["categories", "brands", "skus"]]] = {
    "category": "categories",
    "brand": "brands",
    "sku": "skus",
}


def check_earning(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `earning`, and what cashback asks of `redemption`."""
    earning = document["earning"]
    yield from _check_rate(earning, ("earning",))
    yield from _check_bands(earning)
    yield from _check_segments(earning)
    yield from _check_multipliers(earning.get("multipliers", []), earning.get("excluded", {}))
    if "excluded" in earning:
        yield from check_goods(earning["excluded"], ("earning", "excluded"))
    yield from _check_against_redemption(document)


def _check_rate(rate: RateDocument, path: Path) -> Iterator[Contradiction]:
    steps = [key for key in ("points_per_step", "step_minor") if key in rate]
    if "cashback_basis_points" in rate:
        if steps:
            reason = f"excludes {' and '.join(steps)}: a receipt earns either cashback or points for steps"
            yield Contradiction((*path, "cashback_basis_points"), reason)
    elif not steps:
        yield Contradiction(path, "must have points_per_step and step_minor, or cashback_basis_points")
    elif len(steps) == 1:
        missing = "step_minor" if steps == ["points_per_step"] else "points_per_step"
        yield Contradiction((*path, missing), f"is missing: {steps[0]} says nothing without it")


def _check_bands(earning: EarningDocument) -> Iterator[Contradiction]:
    bands = earning.get("bands", [])
    if bands and "cashback_basis_points" in earning:
        yield Contradiction(("earning", "bands"), "can't go with cashback_basis_points, which has no steps")
        return
    from_minor, points_per_step = 0, earning.get("points_per_step")
    for index, band in enumerate(bands):
        path = ("earning", "bands", index)
        if band["from_minor"] <= from_minor:
            reason = f"must be above {from_minor:,}, where the band before begins"
            yield Contradiction((*path, "from_minor"), reason)
        if band["points_per_step"] == points_per_step:
            yield Contradiction(
                (*path, "points_per_step"), "is the same as below the band: it changes nothing"
            )
        from_minor, points_per_step = band["from_minor"], band["points_per_step"]


def _check_segments(earning: EarningDocument) -> Iterator[Contradiction]:
    path = ("earning", "segments")
    rates = earning.get("segments", [])
    yield from repeated([each["segment"] for each in rates], path, "segment")
    is_cashback = "cashback_basis_points" in earning
    for index, rate in enumerate(rates):
        yield from _check_rate(rate, (*path, index))
        if is_cashback != ("cashback_basis_points" in rate):
            wanted = "cashback_basis_points" if is_cashback else "points_per_step and step_minor"
            yield Contradiction((*path, index), f"must have {wanted}, as earning itself does")


def _check_multipliers(
    multipliers: list[MultiplierDocument], excluded: GoodsDocument
) -> Iterator[Contradiction]:
    path = ("earning", "multipliers")
    for index, multiplier in enumerate(multipliers):
        yield from exactly_one({**multiplier}, (*path, index), *_GOODS_KINDS)
        if "category" in multiplier and multiplier["multiplier_percent"] == 100:
            reason = "of 100 changes nothing: a category counts for that anyway"
            yield Contradiction((*path, index, "multiplier_percent"), reason)
    yield from repeated([tuple(_goods(each)) for each in multipliers], path)
    for index, multiplier in enumerate(multipliers):
        for kind, name in _goods(multiplier):
            if name in excluded.get(_EXCLUDED_UNDER[kind], ()):
                yield Contradiction((*path, index, kind), f"{name} is excluded from earning")


def _goods(multiplier: MultiplierDocument) -> Iterator[tuple[_GoodsKind, str]]:
    for kind in _GOODS_KINDS:
        if kind in multiplier:
            yield kind, multiplier[kind]


def _check_against_redemption(document: ProgramDocument) -> Iterator[Contradiction]:
    earning, redemption = document["earning"], document.get("redemption")
    if redemption is None:
        if earning.get("on_redeemed_part"):
            reason = "needs the section redemption: without it no part is paid with points"
            yield Contradiction(("earning", "on_redeemed_part"), reason)
    elif "cashback_basis_points" in earning and redemption["value_points"] != redemption["value_minor"]:
        reason = "must equal value_points: with cashback a point is worth one minor unit"
        yield Contradiction(("redemption", "value_minor"), reason)
