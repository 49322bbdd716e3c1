"""What goods count for when points are earned: more for some, nothing for excluded ones."""

from processor.domain.program import Program
from processor.domain.rules.registry import Stage, rule
from processor.domain.sale import PERCENT, Sale


@rule(Stage.WEIGHT, lambda program: program.earning.multipliers is not None)
def multiply(sale: Sale) -> None:
    """By SKU, else by brand, else by category. A receipt without lines names no goods."""
    if not sale.command.receipt.lines:
        return
    multipliers = sale.program.earning.multipliers
    assert multipliers
    by_sku, by_brand, by_category = multipliers
    sale.weights_percent = [
        by_sku.get(sku) or by_brand.get(brand) or by_category.get(category, PERCENT)
        for sku, _, _, category, brand in sale.lines
    ]
    if sale.earns and any(weight != PERCENT for weight in sale.weights_percent):
        sale.apply("earning.multipliers")


def _excludes(program: Program) -> bool:
    return program.earning.excluded is not None


@rule(Stage.WEIGHT, _excludes)
def exclude(sale: Sale) -> None:
    """Whatever else they would count for."""
    if not sale.command.receipt.lines:
        return
    excluded = sale.program.earning.excluded
    assert excluded
    before = sale.weights_percent
    sale.weights_percent = [
        0 if left_out else weight for left_out, weight in zip(sale.are_among(excluded), before, strict=True)
    ]
    if sale.earns and sale.weights_percent != before:
        sale.apply("earning.excluded")
