"""The discount without points."""

from collections.abc import Iterator

from processor.domain.program_document import ProgramDocument
from processor.domain.program_sections import DiscountDocument
from processor.program_file.checks.contradiction import Contradiction, check_goods, empty_section, repeated


def check_discount(document: ProgramDocument) -> Iterator[Contradiction]:
    """The section `discount`, and the tiers' discounts."""
    discount = document.get("discount")
    if discount is None:
        return
    yield from empty_section(discount, ("discount",))
    yield from _check_never_given(document, discount)
    yield from _check_never_earned(discount)
    yield from _check_never_paid(discount)
    yield from _check_smaller(document, discount)
    yield from repeated(
        [each["segment"] for each in discount.get("segments", ())], ("discount", "segments"), "segment"
    )
    if "excluded" in discount:
        yield from check_goods(discount["excluded"], ("discount", "excluded"))


def _check_never_given(document: ProgramDocument, discount: DiscountDocument) -> Iterator[Contradiction]:
    levels = document["tiers"]["levels"] if "tiers" in document else []
    by_tier = any("discount_percent" in level for level in levels)
    if discount and not ("percent" in discount or "segments" in discount or by_tier):
        reason = "gives nobody anything: name percent, segments or a tier's discount_percent"
        yield Contradiction(("discount",), reason)


def _check_never_earned(discount: DiscountDocument) -> Iterator[Contradiction]:
    if (
        "percent" in discount
        and "excluded" not in discount
        and not discount.get("combined_with_earning", True)
    ):
        reason = "can't be false where every receipt has a discount of percent: nothing would ever be earned"
        yield Contradiction(("discount", "combined_with_earning"), reason)


def _check_never_paid(discount: DiscountDocument) -> Iterator[Contradiction]:
    if discount.get("percent") == 100 and "excluded" not in discount:
        reason = "can't be 100 where no goods are excluded: everybody would get everything for nothing"
        yield Contradiction(("discount", "percent"), reason)


def _check_smaller(document: ProgramDocument, discount: DiscountDocument) -> Iterator[Contradiction]:
    """The largest discount counts, so that one below that of everybody never does."""
    percent = discount.get("percent", 0)
    reason = f"must be above {percent}, the discount of everybody: the largest one counts"
    for index, each in enumerate(discount.get("segments", ())):
        if each["percent"] <= percent:
            yield Contradiction(("discount", "segments", index, "percent"), reason)
    levels = document["tiers"]["levels"] if "tiers" in document else []
    for index, level in enumerate(levels):
        if "discount_percent" in level and level["discount_percent"] <= percent:
            yield Contradiction(("tiers", "levels", index, "discount_percent"), reason)
