"""What points pay: by themselves, as rewards, in holds and offline."""

from collections.abc import Iterator

from processor.domain.limits import AMOUNT_MINOR_MAX
from processor.domain.program import HoldRules
from processor.domain.program_document import ProgramDocument
from processor.domain.program_sections import RedemptionDocument, RewardDocument
from processor.located_yaml import Path, dotted
from processor.program_file.checks.contradiction import (
    Contradiction,
    check_goods,
    empty_section,
    exactly_one,
    repeated,
)


def check_redemption(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `redemption`, and the sections that need it."""
    redemption = document.get("redemption")
    if redemption is None:
        yield from _missing_redemption(document)
        return
    yield from _check_minimum(redemption)
    for path, bound in _bounds(document):
        if redemption["minimum_points"] > bound:
            reason = f"must be at most {bound:,}, as {dotted(path)} says"
            yield Contradiction(("redemption", "minimum_points"), reason)
    per_day = redemption.get("maximum_points_per_day")
    if per_day and redemption.get("maximum_points_per_receipt", 0) > per_day:
        reason = f"must be at most {per_day:,}, as maximum_points_per_day says"
        yield Contradiction(("redemption", "maximum_points_per_receipt"), reason)
    if "excluded" in redemption:
        yield from check_goods(redemption["excluded"], ("redemption", "excluded"))


def _missing_redemption(document: ProgramDocument) -> Iterator[Contradiction]:
    for section in ("rewards", "holds", "offline"):
        if section in document:
            reason = "needs the section redemption: without it points can't be spent"
            yield Contradiction((section,), reason)
    if not document.get("discount", {}).get("combined_with_points", True):
        reason = "can't be false without the section redemption: no receipt uses points"
        yield Contradiction(("discount", "combined_with_points"), reason)
    for index, limit in enumerate(document.get("limits", ())):
        if "redeemed_points" in limit:
            reason = "needs the section redemption: without it no points are redeemed"
            yield Contradiction(("limits", index, "redeemed_points"), reason)
    if document.get("returns", {}).get("shortfall") == "reduce_refund":
        reason = "reduce_refund needs the section redemption: without it points have no value in money"
        yield Contradiction(("returns", "shortfall"), reason)


def _check_minimum(redemption: RedemptionDocument) -> Iterator[Contradiction]:
    """What is redeemed must pay at least one minor unit, and fit into some receipt."""
    path = ("redemption", "minimum_points")
    minimum, value_points = redemption["minimum_points"], redemption["value_points"]
    worth_minor = minimum * redemption["value_minor"] // value_points
    if not worth_minor:
        least = -(-value_points // redemption["value_minor"])
        reason = f"must be at least {least:,}: fewer points are worth less than one minor unit"
        yield Contradiction(path, reason)
    if worth_minor > AMOUNT_MINOR_MAX * redemption["maximum_share_percent"] // 100:
        yield Contradiction(
            path, "is worth more than points may pay of the largest receipt that there can be"
        )


def _bounds(document: ProgramDocument) -> Iterator[tuple[Path, int]]:
    """The most points that can be redeemed at once, by every rule that says so."""
    redemption = document.get("redemption")
    if redemption and "maximum_points_per_receipt" in redemption:
        yield ("redemption", "maximum_points_per_receipt"), redemption["maximum_points_per_receipt"]
    if redemption and "maximum_points_per_day" in redemption:
        yield ("redemption", "maximum_points_per_day"), redemption["maximum_points_per_day"]
    for index, limit in enumerate(document.get("limits", ())):
        if limit["action"] == "refuse" and "redeemed_points" in limit:
            yield ("limits", index, "redeemed_points"), limit["redeemed_points"]


def check_rewards(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `rewards`."""
    rewards = document.get("rewards", [])
    yield from repeated([each["id"] for each in rewards], ("rewards",), "id")
    for index, reward in enumerate(rewards):
        path = ("rewards", index)
        yield from exactly_one({**reward}, path, "discount_percent", "delivery_category", "product_sku")
        yield from repeated(reward.get("segments", ()), (*path, "segments"))
        yield from _check_excluded(reward, document, path)
        for bound_path, bound in _bounds(document):
            if reward["points"] > bound:
                reason = f"must be at most {bound:,}, as {dotted(bound_path)} says"
                yield Contradiction((*path, "points"), reason)


def _check_excluded(reward: RewardDocument, document: ProgramDocument, path: Path) -> Iterator[Contradiction]:
    redemption = document.get("redemption")
    excluded = redemption.get("excluded", {}) if redemption else {}
    if reward.get("delivery_category") in excluded.get("categories", ()):
        yield Contradiction((*path, "delivery_category"), "is excluded from redemption")
    if reward.get("product_sku") in excluded.get("skus", ()):
        yield Contradiction((*path, "product_sku"), "is excluded from redemption")


def check_holds(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `holds`."""
    if "holds" not in document:
        return
    holds = HoldRules(**document["holds"])
    yield from empty_section(document["holds"], ("holds",))
    if holds.default_seconds > holds.maximum_seconds:
        if "default_seconds" in document["holds"]:
            reason = f"must be at most maximum_seconds, {holds.maximum_seconds:,}"
            yield Contradiction(("holds", "default_seconds"), reason)
        else:
            reason = f"is below default_seconds, which is {holds.default_seconds:,} unless it is given"
            yield Contradiction(("holds", "maximum_seconds"), reason)


def check_offline(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `offline`."""
    redemption = document.get("redemption")
    if "offline" not in document or redemption is None:
        return
    path, points = ("offline", "redeem_points_max"), document["offline"]["redeem_points_max"]
    minimum = redemption["minimum_points"]
    if points < minimum:
        yield Contradiction(path, f"must be at least {minimum:,}, as redemption.minimum_points says")
    for bound_path, bound in _bounds(document):
        if points > bound:
            yield Contradiction(path, f"must be at most {bound:,}, as {dotted(bound_path)} says")
